//! An OAuth client: it registers, asks, exchanges and refreshes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    browser::Browser,
    house::House,
    wire::{Answer, Ask, Fields},
};
use crate::{
    crypto::digest::Digest,
    model::oauth2::scope::{Opens, SCOPES},
};

/// What every client proves itself with, unless a test has it otherwise.
pub(super) const VERIFIER: &str = "an-unguessable-verifier-of-at-least-43-characters";
/// Where the answers of a web client go.
pub(super) const CALLBACK: &str = "https://app.example/callback";

/// The S256 of a verifier.
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes())
}

/// Every scope that a client of the MCP endpoint can want, as it asks for them.
pub(super) fn every_scope() -> String {
    let wanted = SCOPES.iter().filter(|scope| scope.opens != Opens::Api);
    let names: Vec<_> = wanted.map(|scope| scope.name).collect();
    names.join(" ")
}

/// A registered client.
#[derive(Clone, Debug)]
pub(super) struct ClientApp {
    pub(super) id: String,
    pub(super) secret: Option<String>,
    pub(super) registration_token: String,
    pub(super) redirect_uri: String,
    /// The MCP endpoint of the deployment where it is registered.
    pub(super) resource: String,
}

impl ClientApp {
    /// Registers itself with these metadata.
    pub(super) async fn register(house: &House, metadata: &Value) -> Self {
        let answer = house.ask(Ask::json("/oauth2/register", metadata)).await;
        Self::of(&answer.expect(201))
    }

    /// The client that a registration made.
    pub(super) fn of(answer: &Answer) -> Self {
        let body = answer.json();
        let redirect_uri = body["redirect_uris"][0].as_str();
        let managed_at = answer.text("registration_client_uri");
        let (deployment, _) = managed_at.split_once("/oauth2/").expect("a path of ours");
        Self {
            id: answer.text("client_id"),
            secret: body["client_secret"].as_str().map(str::to_owned),
            registration_token: answer.text("registration_access_token"),
            redirect_uri: redirect_uri.expect("a redirect URI").to_owned(),
            resource: format!("{deployment}/mcp"),
        }
    }

    /// A web client without a secret.
    pub(super) async fn public(house: &House) -> Self {
        Self::register(house, &public_at(CALLBACK)).await
    }

    /// A web client with a secret.
    pub(super) async fn confidential(house: &House) -> Self {
        let mut metadata = public_at(CALLBACK);
        metadata["token_endpoint_auth_method"] = "client_secret_post".into();
        Self::register(house, &metadata).await
    }

    /// Where its registration is managed.
    pub(super) fn path(&self) -> String {
        format!("/oauth2/clients/{}", self.id)
    }

    /// A request for everything at the MCP endpoint.
    pub(super) fn request(&self) -> Fields {
        Fields::of(&[
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect_uri),
            ("code_challenge", &challenge_of(VERIFIER)),
            ("code_challenge_method", "S256"),
            ("state", "the-state"),
            ("scope", &every_scope()),
            ("resource", &self.resource),
        ])
    }

    /// The code that somebody allows it.
    pub(super) async fn code(&self, browser: &Browser<'_>) -> String {
        let answer = browser.allow(&self.request()).await;
        answer.code()
    }

    /// The form that exchanges `code`.
    pub(super) fn exchange(&self, code: &str) -> Fields {
        self.identified(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", &self.redirect_uri),
        ])
    }

    /// The form that refreshes with `token`.
    pub(super) fn refreshing(&self, token: &str) -> Fields {
        self.identified(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    /// The form that revokes `token`.
    pub(super) fn revoking(&self, token: &str) -> Ask {
        Ask::form("/oauth2/revoke", &self.identified(&[("token", token)]))
    }

    /// A form with these fields that says whose it is.
    pub(super) fn identified(&self, fields: &[(&str, &str)]) -> Fields {
        let fields = Fields::of(fields).and(&[("client_id", &self.id)]);
        match &self.secret {
            Some(secret) => fields.and(&[("client_secret", secret)]),
            None => fields,
        }
    }

    /// Replaces its registration.
    pub(super) async fn replace(&self, house: &House, metadata: &Value) -> Answer {
        let mut ask = Ask::json(&self.path(), metadata).bearer(&self.registration_token);
        ask.method = http::Method::PUT;
        house.ask(ask).await
    }
}

/// The metadata of a public client whose answers go to `redirect_uri`.
pub(super) fn public_at(redirect_uri: &str) -> Value {
    json!({
        "client_name": "An app",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    })
}
