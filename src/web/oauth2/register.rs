//! `POST /oauth2/register`, RFC 7591, and how registered metadata is read and echoed.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    http::{
        request::Request,
        response::{Response, json},
    },
    model::{
        audit::Actor,
        credential::Credential,
        oauth2::{
            client::{
                AuthMethod, Client, ClientMetadata, ClientName, GrantType, REDIRECT_URIS_MAX,
            },
            redirect_uri::RedirectUri,
            scope::ScopeSet,
        },
    },
    oauth2provider::registration::{self, RegistrationError},
    web::{
        Web,
        credentials::{Caller, by},
        headers::never_stored,
        oauth2::error::OAuthError,
        throttle::{Endpoint, Subject},
    },
};

/// Bytes of a registration at the most.
pub const REGISTRATION_BYTES_MAX: usize = 64 * 1024;
/// Characters of a text that a client says about itself at the most; its name has its own bound.
const TEXT_LEN_MAX: usize = 256;
/// Bytes of a URL that a client gives of itself at the most.
const URL_BYTES_MAX: usize = 2_048;
/// Contacts of a client at the most.
const CONTACTS_MAX: usize = 8;

/// What a client is told of its registration (RFC 7591 §3.2.1). Nothing absent is sent as null:
/// clients refuse that.
#[derive(Serialize)]
pub(super) struct ClientInformation<'a> {
    client_id: String,
    client_id_issued_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u64>,
    registration_access_token: &'a str,
    registration_client_uri: String,
    client_name: &'a str,
    redirect_uris: Vec<&'a str>,
    token_endpoint_auth_method: &'static str,
    grant_types: Vec<&'static str>,
    response_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    contacts: &'a [String],
}

impl<'a> ClientInformation<'a> {
    pub(super) fn new(
        web: &Web,
        client: &'a Client,
        token: &'a str,
        client_secret: Option<String>,
    ) -> Self {
        let metadata = &client.metadata;
        let client_id = client.id.to_string();
        let uses_code = metadata.allows(GrantType::AuthorizationCode);
        Self {
            registration_client_uri: web
                .provider
                .public_url
                .join(&format!("/oauth2/clients/{client_id}")),
            client_id,
            client_id_issued_at: client.created_at.seconds(),
            // RFC 7591 §3.2.1: "REQUIRED if client_secret is issued"; 0 is never.
            client_secret_expires_at: client_secret.as_ref().map(|_| 0),
            client_secret,
            registration_access_token: token,
            client_name: metadata.name.as_str(),
            redirect_uris: metadata
                .redirect_uris
                .iter()
                .map(RedirectUri::as_str)
                .collect(),
            token_endpoint_auth_method: metadata.auth_method.as_str(),
            grant_types: metadata
                .grant_types
                .iter()
                .map(|grant| grant.as_str())
                .collect(),
            response_types: if uses_code { vec!["code"] } else { Vec::new() },
            scope: metadata.scope.as_ref().map(ToString::to_string),
            client_uri: metadata.client_uri.as_deref(),
            logo_uri: metadata.logo_uri.as_deref(),
            tos_uri: metadata.tos_uri.as_deref(),
            policy_uri: metadata.policy_uri.as_deref(),
            software_id: metadata.software_id.as_deref(),
            software_version: metadata.software_version.as_deref(),
            application_type: metadata.application_type.as_deref(),
            contacts: &metadata.contacts,
        }
    }
}

/// `POST /oauth2/register`.
pub async fn post(web: Arc<Web>, request: Request, _: Caller) -> Response {
    register(&web, &request)
        .await
        .unwrap_or_else(OAuthError::into_response)
}

async fn register(web: &Web, request: &Request) -> Result<Response, OAuthError> {
    let metadata = parse_metadata(&request.body)?;
    // Only what would be registered counts against what all strangers may register together.
    web.throttle
        .check(request.head.now, Endpoint::Registration, Subject::Everybody)
        .map_err(OAuthError::too_often)?;
    let registered = web
        .write(by(&request.head, Actor::Stranger), |tx, moment| {
            registration::register(tx, moment, metadata)
        })
        .await?;
    let token = registered.registration_token.reveal();
    let secret = registered.secret.as_ref().map(Credential::reveal);
    let information = ClientInformation::new(web, &registered.client, &token, secret);
    Ok(never_stored(json(StatusCode::CREATED, &information)))
}

impl From<RegistrationError> for OAuthError {
    fn from(error: RegistrationError) -> Self {
        let why = error.to_string();
        match error {
            RegistrationError::Off => Self::new(StatusCode::FORBIDDEN, "access_denied", why),
            RegistrationError::Full => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                why,
            ),
            RegistrationError::TokenWrong => Self::invalid_token(why),
            RegistrationError::AuthMethodFixed(_) => {
                Self::bad_request("invalid_client_metadata", why)
            }
            RegistrationError::Store(fault) => fault.into(),
        }
    }
}

/// The metadata in the body of a registration or of its replacement. What is not known is ignored
/// (RFC 7591 §2); null counts as absent.
pub(crate) fn parse_metadata(body: &[u8]) -> Result<ClientMetadata, OAuthError> {
    let body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("expected a JSON object: {error}")))?;
    let fields = Fields(&body);
    read_metadata(&fields, auth_method(&fields)?)
}

/// The metadata in `fields` of a client that authenticates by `auth_method`.
pub(super) fn read_metadata(
    fields: &Fields<'_>,
    auth_method: AuthMethod,
) -> Result<ClientMetadata, OAuthError> {
    let redirect_uris = redirect_uris(fields)?;
    let grant_types = grant_types(fields)?;
    response_types(fields, &grant_types)?;
    if redirect_uris.is_empty() && grant_types.contains(&GrantType::AuthorizationCode) {
        return Err(OAuthError::bad_request(
            "invalid_redirect_uri",
            "redirect_uris: expected at least one, found none",
        ));
    }
    Ok(ClientMetadata {
        name: name(fields, &redirect_uris)?,
        redirect_uris,
        auth_method,
        grant_types,
        scope: fields
            .text("scope", ClientMetadataText::Scope)?
            .map(str::parse)
            .transpose()
            .map_err(|error| invalid(format!("scope: {error}")))?
            // Spaces alone name nothing, like an absent scope: an empty ceiling would mean nothing
            // at all.
            .filter(|scope: &ScopeSet| !scope.is_empty()),
        client_uri: fields.url("client_uri")?,
        logo_uri: fields.url("logo_uri")?,
        tos_uri: fields.url("tos_uri")?,
        policy_uri: fields.url("policy_uri")?,
        software_id: fields.owned("software_id")?,
        software_version: fields.owned("software_version")?,
        contacts: contacts(fields)?,
        application_type: fields.owned("application_type")?,
    })
}

pub(super) fn invalid(why: impl Into<String>) -> OAuthError {
    OAuthError::bad_request("invalid_client_metadata", why)
}

/// How long a text may be.
#[derive(Clone, Copy)]
enum ClientMetadataText {
    Short,
    Scope,
}

/// The members of a client's metadata.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The member of that name; null counts as absent (RFC 7591 §3.2.1 knows none).
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str, kind: ClientMetadataText) -> Result<Option<&'a str>, OAuthError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = value
            .as_str()
            .ok_or_else(|| invalid(format!("{name}: expected a text")))?;
        let max = match kind {
            ClientMetadataText::Short => TEXT_LEN_MAX,
            ClientMetadataText::Scope => REGISTRATION_BYTES_MAX,
        };
        let found = text.chars().count();
        if found > max {
            let why = format!("{name}: expected at most {max} characters, found {found}");
            return Err(invalid(why));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A short text.
    pub(super) fn owned(&self, name: &str) -> Result<Option<String>, OAuthError> {
        Ok(self
            .text(name, ClientMetadataText::Short)?
            .map(str::to_owned))
    }

    /// A URL of the client's own, which is shown or echoed and never fetched.
    fn url(&self, name: &str) -> Result<Option<String>, OAuthError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let text = value.as_str().filter(|text| text.len() <= URL_BYTES_MAX);
        let is_web = |text: &&str| {
            Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http"))
        };
        match text {
            Some("") => Ok(None),
            Some(text) if is_web(&text) => Ok(Some(text.to_owned())),
            _ => Err(invalid(format!(
                "{name}: expected an https URL of at most {URL_BYTES_MAX} bytes"
            ))),
        }
    }

    /// The texts of a list; `None` if it is absent.
    pub(super) fn texts(&self, name: &str, max: usize) -> Result<Option<Vec<&'a str>>, OAuthError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let list = value
            .as_array()
            .ok_or_else(|| invalid(format!("{name}: expected a list")))?;
        if list.len() > max {
            let found = list.len();
            return Err(invalid(format!(
                "{name}: expected at most {max}, found {found}"
            )));
        }
        let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
        texts
            .map(Some)
            .ok_or_else(|| invalid(format!("{name}: expected a list of texts")))
    }
}

/// One bad URI refuses the registration, and is named.
fn redirect_uris(fields: &Fields<'_>) -> Result<Vec<RedirectUri>, OAuthError> {
    let wrong = |why: String| OAuthError::bad_request("invalid_redirect_uri", why);
    let texts = fields
        .texts("redirect_uris", REDIRECT_URIS_MAX)?
        .unwrap_or_default();
    let mut uris: Vec<RedirectUri> = Vec::with_capacity(texts.len());
    for text in texts {
        let uri = text.parse().map_err(|error| {
            let shown: String = text.chars().take(200).collect();
            wrong(format!("redirect_uris: {shown}: {error}"))
        })?;
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    Ok(uris)
}

/// RFC 7591 §2: absent is `authorization_code`. The server "may reject or replace" what it does
/// not serve; hosts list types that they would use elsewhere, so those are left out. So is
/// `client_credentials`, which acts for nobody: only an administrator gives it.
fn grant_types(fields: &Fields<'_>) -> Result<Vec<GrantType>, OAuthError> {
    let Some(words) = fields.texts("grant_types", TEXT_LEN_MAX)? else {
        return Ok(vec![GrantType::AuthorizationCode]);
    };
    let mut grant_types: Vec<_> = words.into_iter().filter_map(GrantType::find).collect();
    grant_types.retain(|grant| *grant != GrantType::ClientCredentials);
    grant_types.sort_unstable();
    grant_types.dedup();
    let asks_people =
        |grant: &GrantType| matches!(grant, GrantType::AuthorizationCode | GrantType::DeviceCode);
    if grant_types.iter().any(asks_people) {
        Ok(grant_types)
    } else {
        Err(invalid(
            "grant_types: expected authorization_code or the device grant among them",
        ))
    }
}

fn response_types(fields: &Fields<'_>, grant_types: &[GrantType]) -> Result<(), OAuthError> {
    let needs_code = grant_types.contains(&GrantType::AuthorizationCode);
    match fields.texts("response_types", TEXT_LEN_MAX)? {
        Some(words) if needs_code && !words.contains(&"code") => {
            Err(invalid("response_types: expected code among them"))
        }
        _ => Ok(()),
    }
}

/// RFC 7591 §2: absent is `client_secret_basic`.
fn auth_method(fields: &Fields<'_>) -> Result<AuthMethod, OAuthError> {
    let word = fields.text("token_endpoint_auth_method", ClientMetadataText::Short)?;
    word.map_or(Ok(AuthMethod::ClientSecretBasic), |word| {
        AuthMethod::find(word).ok_or_else(|| {
            invalid(
                "token_endpoint_auth_method: expected none, client_secret_basic or \
                 client_secret_post",
            )
        })
    })
}

/// A client without a name is shown by where its answers go.
fn name(fields: &Fields<'_>, uris: &[RedirectUri]) -> Result<ClientName, OAuthError> {
    let made = || {
        uris.first()
            .map_or_else(|| "An app".to_owned(), RedirectUri::shown_host)
    };
    let text = match fields.get("client_name") {
        None => made(),
        Some(Value::String(text)) if text.trim().is_empty() => made(),
        Some(Value::String(text)) => text.clone(),
        Some(_) => return Err(invalid("client_name: expected a text")),
    };
    ClientName::parse(&text)
        .or_else(|error| {
            if fields.get("client_name").is_none() {
                ClientName::parse("An app")
            } else {
                Err(error)
            }
        })
        .map_err(|error| invalid(format!("client_name: {error}")))
}

fn contacts(fields: &Fields<'_>) -> Result<Vec<String>, OAuthError> {
    let contacts = fields.texts("contacts", CONTACTS_MAX)?.unwrap_or_default();
    if contacts
        .iter()
        .any(|contact| contact.chars().count() > TEXT_LEN_MAX)
    {
        return Err(invalid(format!(
            "contacts: expected at most {TEXT_LEN_MAX} characters each"
        )));
    }
    Ok(contacts.into_iter().map(str::to_owned).collect())
}

/// Metadata as a client would send them: what [`parse_metadata`] is tried with.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn print_metadata(metadata: &ClientMetadata) -> Value {
    let uris = metadata.redirect_uris.iter().map(RedirectUri::as_str);
    let grants = metadata.grant_types.iter().copied().map(GrantType::as_str);
    serde_json::json!({
        "client_name": metadata.name.as_str(),
        "redirect_uris": uris.collect::<Vec<_>>(),
        "token_endpoint_auth_method": metadata.auth_method.as_str(),
        "grant_types": grants.collect::<Vec<_>>(),
        "scope": metadata.scope.as_ref().map(ToString::to_string),
        "client_uri": metadata.client_uri,
        "logo_uri": metadata.logo_uri,
        "tos_uri": metadata.tos_uri,
        "policy_uri": metadata.policy_uri,
        "software_id": metadata.software_id,
        "software_version": metadata.software_version,
        "contacts": metadata.contacts,
        "application_type": metadata.application_type,
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};
    use serde_json::json;

    use super::*;

    /// A value of JSON, a few levels deep.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            "https://[a-z]{1,9}[.]example/[a-z]{0,5}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 12, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                vec((".{0,9}", inner), 0..3)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    const NAMES: [&str; 14] = [
        "client_name",
        "redirect_uris",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "scope",
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "software_id",
        "software_version",
        "contacts",
        "application_type",
    ];

    proptest! {
        #[test]
        fn what_was_understood_can_be_registered_again(
            name in option::of("\\PC{0,140}"),
            paths in vec("[!-~]{0,20}", 1..4),
            method in select(vec!["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]),
            scope in option::of("[ a-z:]{0,20}"),
            text in ".{0,20}",
            contacts in vec(".{0,20}", 0..4),
        ) {
            let uris = paths.iter().map(|path| format!("https://app.example/{path}"));
            let body = json!({
                "client_name": name,
                "redirect_uris": uris.collect::<Vec<_>>(),
                "token_endpoint_auth_method": method,
                "scope": scope,
                "software_id": text,
                "contacts": contacts,
            });
            if let Ok(metadata) = parse_metadata(body.to_string().as_bytes()) {
                let again = parse_metadata(print_metadata(&metadata).to_string().as_bytes());
                prop_assert_eq!(again.expect("registered before"), metadata);
            }
        }

        /// Whatever stands in a field, the answer is a registration or an error of RFC 7591.
        #[test]
        fn no_value_of_any_field_panics(fields in vec((select(NAMES.to_vec()), any_value()), 0..6)) {
            let mut body = json!({ "redirect_uris": ["https://app.example/cb"] });
            for (name, value) in fields {
                body[name] = value;
            }
            if let Err(error) = parse_metadata(body.to_string().as_bytes()) {
                let answered = error.into_response();
                prop_assert_eq!(answered.status(), StatusCode::BAD_REQUEST);
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse_metadata(&bytes);
        }
    }
}
