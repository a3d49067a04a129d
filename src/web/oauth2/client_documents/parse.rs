//! Reading a client ID metadata document.

use serde_json::{Map, Value};

use crate::{
    model::oauth2::{client::AuthMethod, client_document::ClientDocument, client_id::DocumentUrl},
    web::oauth2::{
        error::OAuthError,
        register::{Fields, read_metadata},
    },
};

/// Bytes of a document at the most (draft-ietf-oauth-client-id-metadata-document-02 §6.6).
pub const DOCUMENT_BYTES_MAX: usize = 5 * 1024;
/// Authentication methods that a document lists at the most.
const AUTH_METHODS_MAX: usize = 16;

/// The bytes are not the document of that URL, or describe a client that cannot be served here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedDocument(String);

impl From<OAuthError> for MalformedDocument {
    fn from(error: OAuthError) -> Self {
        Self(error.description().to_owned())
    }
}

/// The document of `url` in `bytes`. What is not known is ignored; null counts as absent.
///
/// # Source
/// draft-ietf-oauth-client-id-metadata-document-00 §4; the rules for its members are those of a
/// registration (RFC 7591 §2).
pub fn parse(url: &DocumentUrl, bytes: &[u8]) -> Result<ClientDocument, MalformedDocument> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let found = bytes.len();
        let why =
            format!("expected a document of at most {DOCUMENT_BYTES_MAX} bytes, found {found}");
        return Err(MalformedDocument(why));
    }
    let object: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| MalformedDocument(format!("expected a JSON object: {error}")))?;
    let fields = Fields(&object);
    check_client_id(url, &fields)?;
    check_has(&fields, "client_name")?;
    check_has(&fields, "redirect_uris")?;
    check_is_public(&fields)?;
    let metadata = read_metadata(&fields, AuthMethod::None)?;
    Ok(ClientDocument {
        url: url.clone(),
        metadata,
    })
}

/// §4: the `client_id` in a document "MUST match the URL of the document using simple string
/// comparison": else one host could describe another's client.
fn check_client_id(url: &DocumentUrl, fields: &Fields<'_>) -> Result<(), MalformedDocument> {
    match fields.get("client_id") {
        Some(Value::String(found)) if found == url.as_str() => Ok(()),
        Some(_) => Err(MalformedDocument(format!(
            "client_id: expected {url} itself, found another"
        ))),
        None => Err(MalformedDocument(format!(
            "client_id: expected {url}, found none"
        ))),
    }
}

/// What a registration may leave out and a document may not (MCP 2026-07-28).
fn check_has(fields: &Fields<'_>, name: &str) -> Result<(), MalformedDocument> {
    let is_there = match fields.get(name) {
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        _ => false,
    };
    if is_there {
        Ok(())
    } else {
        Err(MalformedDocument(format!(
            "{name}: expected one, found none"
        )))
    }
}

/// A document is public, so that it cannot hold a secret, and no client proves itself here by a key
/// of its own. One that would rather do that and lists `none` as well is served as a public client,
/// which is what it falls back to where the metadata offers nothing else.
fn check_is_public(fields: &Fields<'_>) -> Result<(), MalformedDocument> {
    // §4.1: "the client_secret and client_secret_expires_at properties MUST NOT be used".
    for name in ["client_secret", "client_secret_expires_at"] {
        if fields.get(name).is_some() {
            return Err(MalformedDocument(format!(
                "{name}: expected none, because everybody can read a document"
            )));
        }
    }
    let preferred = fields.owned("token_endpoint_auth_method")?;
    let listed = fields.texts("token_endpoint_auth_methods_supported", AUTH_METHODS_MAX)?;
    let lists_none = listed.as_ref().map(|words| words.contains(&"none"));
    let is_public = match preferred.as_deref() {
        Some("none") => true,
        // §4.1: no method "based around a shared symmetric secret", whatever else is listed.
        Some(word) if word.starts_with("client_secret_") => false,
        Some(_) => lists_none == Some(true),
        // Elsewhere absent means a secret, which a document cannot have.
        None => lists_none != Some(false),
    };
    if is_public {
        Ok(())
    } else {
        Err(MalformedDocument(
            "token_endpoint_auth_method: expected none, preferred or listed in \
             token_endpoint_auth_methods_supported"
                .to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::oauth2::client::GrantType;

    const URL: &str = "https://app.example/client.json";

    fn url() -> DocumentUrl {
        URL.parse().expect("a URL")
    }

    /// A good document with `changes` made to it; null takes a member away.
    fn read(changes: &Value) -> Result<ClientDocument, MalformedDocument> {
        let mut document = json!({
            "client_id": URL,
            "client_name": "App",
            "redirect_uris": ["https://app.example/cb"],
        });
        let members = document.as_object_mut().expect("an object");
        members.extend(changes.as_object().expect("an object").clone());
        parse(&url(), document.to_string().as_bytes())
    }

    #[test]
    fn the_least_that_a_document_says_is_enough() {
        let document = read(&json!({})).expect("a document");
        assert_eq!(document.url, url());
        assert_eq!(document.metadata.name.as_str(), "App");
        assert_eq!(document.metadata.auth_method, AuthMethod::None);
        assert_eq!(
            document.metadata.grant_types,
            [GrantType::AuthorizationCode]
        );
    }

    #[test]
    fn a_document_that_is_not_of_its_url_is_refused() {
        for client_id in [
            json!(null),
            json!(1),
            json!(""),
            json!("https://app.example/client.json/"),
            json!("https://app.example/Client.json"),
            json!("https://APP.example/client.json"),
            json!("https://app.example:443/client.json"),
            json!("https://other.example/client.json"),
        ] {
            let error = read(&json!({ "client_id": client_id })).expect_err("another's");
            assert!(error.to_string().starts_with("client_id: "), "{error}");
        }
    }

    #[test]
    fn a_document_without_a_name_or_a_redirect_is_refused() {
        for (change, field) in [
            (json!({ "client_name": null }), "client_name"),
            (json!({ "client_name": "  " }), "client_name"),
            (json!({ "client_name": 7 }), "client_name"),
            (json!({ "redirect_uris": null }), "redirect_uris"),
            (json!({ "redirect_uris": [] }), "redirect_uris"),
            (
                json!({ "redirect_uris": "https://app.example/cb" }),
                "redirect_uris",
            ),
        ] {
            let error = read(&change).expect_err(field);
            assert!(error.to_string().starts_with(field), "{error}");
        }
    }

    /// The rules of a registration hold: threats 7, 19, 20 and 22.
    #[test]
    fn one_bad_redirect_uri_refuses_the_document() {
        for bad in [
            "http://app.example/cb",
            "javascript:alert(1)",
            "https://u@app.example/",
        ] {
            let uris = json!({ "redirect_uris": ["https://app.example/cb", bad] });
            let error = read(&uris).expect_err(bad);
            assert!(error.to_string().contains(bad), "{error}");
        }
    }

    /// mcp.md D3, `ChatGPT`: `private_key_jwt` is preferred, and `none` is listed.
    #[test]
    fn a_client_that_lists_none_is_public_whatever_it_prefers() {
        for (preferred, listed) in [
            (json!("none"), json!(null)),
            (json!("none"), json!(["private_key_jwt"])),
            (json!("private_key_jwt"), json!(["none", "private_key_jwt"])),
            (json!(null), json!(["none", "private_key_jwt"])),
            (json!(null), json!(null)),
        ] {
            let document = read(&json!({
                "token_endpoint_auth_method": preferred,
                "token_endpoint_auth_methods_supported": listed,
            }));
            let document = document.unwrap_or_else(|error| panic!("{preferred} {listed}: {error}"));
            assert_eq!(document.metadata.auth_method, AuthMethod::None);
        }
    }

    #[test]
    fn a_client_that_cannot_be_public_is_refused() {
        for (preferred, listed) in [
            (json!("private_key_jwt"), json!(null)),
            (json!("private_key_jwt"), json!(["private_key_jwt"])),
            (json!(null), json!(["private_key_jwt"])),
            (json!("client_secret_basic"), json!(["none"])),
            (json!("client_secret_post"), json!(null)),
            (json!("client_secret_jwt"), json!(null)),
        ] {
            let refused = read(&json!({
                "token_endpoint_auth_method": preferred,
                "token_endpoint_auth_methods_supported": listed,
            }));
            assert!(refused.is_err(), "{preferred} {listed}");
        }
        assert!(read(&json!({ "client_secret": "s" })).is_err());
        assert!(read(&json!({ "client_secret_expires_at": 0 })).is_err());
    }

    #[test]
    fn what_is_no_small_object_is_refused() {
        let long = json!({ "client_id": URL, "x": "y".repeat(DOCUMENT_BYTES_MAX) }).to_string();
        for bytes in ["", "{", "[]", "null", "7", "<html></html>", long.as_str()] {
            assert!(parse(&url(), bytes.as_bytes()).is_err(), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, name in ".{0,200}", uri in ".{0,60}") {
            let _ = parse(&url(), &bytes);
            let _ = read(&json!({ "client_name": name, "redirect_uris": [uri] }));
        }
    }
}
