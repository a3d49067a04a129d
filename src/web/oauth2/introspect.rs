//! `POST /oauth2/introspect`, RFC 7662.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    http::{
        params::Params,
        request::Request,
        response::{Response, json},
    },
    model::credential::CredentialKind,
    oauth2provider::introspect::{self, Introspection},
    web::{
        Web,
        credentials::Caller,
        headers::never_stored,
        oauth2::{client_credentials::authenticate_introspector, error::OAuthError},
    },
};

/// What an active token is (RFC 7662 §2.2). `token_type` is how it is used, so a refresh token,
/// which opens nothing, has none.
#[derive(Serialize)]
struct ActiveToken<'a> {
    active: bool,
    scope: String,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    exp: u64,
    iat: u64,
    sub: &'a str,
    aud: &'a str,
    iss: &'a str,
}

/// Whatever is not active, and whatever is not the business of who asks: nothing else is said.
#[derive(Serialize)]
struct InactiveToken {
    active: bool,
}

/// `POST /oauth2/introspect`.
pub async fn post(web: Arc<Web>, request: Request, _: Caller) -> Response {
    match introspect(&web, &request) {
        Ok(Some(found)) => never_stored(json(StatusCode::OK, &active(&web, &found))),
        Ok(None) => never_stored(json(StatusCode::OK, &InactiveToken { active: false })),
        Err(error) => error.into_response(),
    }
}

fn active<'a>(web: &'a Web, found: &'a Introspection) -> ActiveToken<'a> {
    ActiveToken {
        active: true,
        scope: found.scopes.to_string(),
        client_id: &found.client_id,
        username: found.username.as_deref(),
        token_type: (found.kind == CredentialKind::AccessToken).then_some("Bearer"),
        exp: found.expires_at.seconds(),
        iat: found.issued_at.seconds(),
        sub: &found.subject,
        aud: found.audience.as_str(),
        iss: web.provider.public_url.as_str(),
    }
}

fn introspect(web: &Web, request: &Request) -> Result<Option<Introspection>, OAuthError> {
    let form = Params::from_form(request)?;
    if let Some(name) = form.first_repeated(&[]) {
        return Err(OAuthError::invalid_request(format!(
            "{name}: expected it once"
        )));
    }
    let introspector = authenticate_introspector(web, request, &form)?;
    let token = form.get("token")?.ok_or_else(|| {
        OAuthError::invalid_request("token: expected the token to look up, found none")
    })?;
    // `token_type_hint` is not needed (RFC 7662 §2.1): a token's prefix says what it is.
    let now = request.head.now;
    let found = web
        .store
        .read(|tx| introspect::introspect(tx, now, &web.provider, &introspector, token));
    Ok(found?)
}
