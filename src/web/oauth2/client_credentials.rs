//! How a client says who it is at the endpoints that only clients call (RFC 6749 §2.3.1).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, header::AUTHORIZATION};

use crate::{
    http::{
        params::Params,
        request::{Head, Request},
    },
    model::oauth2::client::Client,
    oauth2provider::{
        apps::{self, ClientCredentials, ClientError, ProvenClient},
        introspect::{self, Introspector},
    },
    web::{
        Web,
        oauth2::error::OAuthError,
        throttle::{Endpoint, Subject},
    },
};

/// What was presented, before it is known what it means.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) id: Option<String>,
    pub(crate) secret: Option<String>,
}

/// The client that a form for `endpoint` comes from, proved, unless it calls too often.
pub(super) fn authenticate(
    web: &Web,
    endpoint: Endpoint,
    request: &Request,
    form: &Params,
) -> Result<ProvenClient, OAuthError> {
    let credentials = presented(request, form)?;
    let authenticated = web.store.read(|tx| apps::authenticate(tx, &credentials));
    let proven = authenticated.map_err(refused)?;
    limit(web, endpoint, &request.head, &proven.client)?;
    Ok(proven)
}

/// The client or the resource server that asks about a token, proved, unless it asks too often.
pub(super) fn authenticate_introspector(
    web: &Web,
    request: &Request,
    form: &Params,
) -> Result<Introspector, OAuthError> {
    let credentials = presented(request, form)?;
    let authenticated = web
        .store
        .read(|tx| introspect::authenticate(tx, &credentials));
    let introspector = authenticated.map_err(refused)?;
    let (endpoint, head) = (Endpoint::Introspection, &request.head);
    match &introspector {
        Introspector::Client(client) => limit(web, endpoint, head, client)?,
        Introspector::Server(server) => {
            let server = Subject::Client(server.id);
            let checked = web.throttle.check(head.now, endpoint, server);
            checked.map_err(OAuthError::too_often)?;
        }
    }
    Ok(introspector)
}

/// Takes one call of `client`. Whoever knows the name of a public one could keep all others from
/// using it, so that one has an allowance at each address.
fn limit(web: &Web, endpoint: Endpoint, head: &Head, client: &Client) -> Result<(), OAuthError> {
    let subject = if client.is_public() {
        Subject::PublicClient(client.id, head.remote)
    } else {
        Subject::Client(client.id)
    };
    let checked = web.throttle.check(head.now, endpoint, subject);
    checked.map_err(OAuthError::too_often)
}

fn refused(error: ClientError) -> OAuthError {
    match error {
        ClientError::Store(fault) => fault.into(),
        wrong => OAuthError::invalid_client(wrong.to_string()),
    }
}

/// What a form says of who sends it, in the header, in its body, or in both.
fn presented(request: &Request, form: &Params) -> Result<ClientCredentials, OAuthError> {
    refuse_secret_in_query(&request.head)?;
    let presented = merge(from_header(&request.head)?, from_body(form)?)?;
    let id = presented.id.ok_or_else(|| {
        OAuthError::invalid_request("client_id: expected the client's identifier, found none")
    })?;
    // An id that is not of our making is an unknown client, like one that has been removed.
    let client_id = id
        .parse()
        .map_err(|_| OAuthError::invalid_client(unknown()))?;
    Ok(ClientCredentials {
        client_id,
        secret: presented.secret,
    })
}

fn unknown() -> String {
    ClientError::Unknown.to_string()
}

/// RFC 6749 §2.3.1: the secret "MUST NOT be included in the request URI".
fn refuse_secret_in_query(head: &Head) -> Result<(), OAuthError> {
    let query = Params::from_query(head)?;
    if query.all("client_secret").is_empty() {
        Ok(())
    } else {
        Err(OAuthError::invalid_request(
            "client_secret: expected it in the body or the Authorization header, found it in the \
             query, which is logged everywhere; replace this secret",
        ))
    }
}

fn from_body(form: &Params) -> Result<Presented, OAuthError> {
    let owned = |value: Option<&str>| value.map(str::to_owned);
    Ok(Presented {
        id: owned(form.get("client_id")?),
        secret: owned(form.get("client_secret")?),
    })
}

fn from_header(head: &Head) -> Result<Presented, OAuthError> {
    let header = head.headers.get(AUTHORIZATION);
    header.map_or_else(|| Ok(Presented::default()), Presented::from_basic)
}

impl Presented {
    /// What an `Authorization` header presents.
    pub(crate) fn from_basic(header: &HeaderValue) -> Result<Self, OAuthError> {
        let wrong = |found: &str| {
            OAuthError::invalid_client(format!(
                "expected Authorization: Basic with base64 of client_id:client_secret, found \
                 {found}"
            ))
        };
        let text = header
            .to_str()
            .map_err(|_| wrong("something that is not ASCII"))?;
        let (scheme, parameter) = text.split_once(' ').unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(wrong("another scheme"));
        }
        let bytes = STANDARD
            .decode(parameter.trim())
            .map_err(|_| wrong("no base64"))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("something that is not UTF-8"))?;
        let (id, secret) = text.split_once(':').ok_or_else(|| wrong("no colon"))?;
        Ok(Self {
            id: Some(decode(id)),
            secret: Some(decode(secret)).filter(|secret| !secret.is_empty()),
        })
    }
}

/// RFC 6749 §2.3.1 has each part form-encoded, and many clients send it raw. Our own identifiers
/// and secrets have no character that encoding changes, so reading both ways is not ambiguous.
fn decode(part: &str) -> String {
    percent_encoding::percent_decode_str(part)
        .decode_utf8_lossy()
        .into_owned()
}

/// One identity from the two places; the same one twice is fine.
fn merge(header: Presented, body: Presented) -> Result<Presented, OAuthError> {
    let one = |name: &str, first: Option<String>, second: Option<String>| match (first, second) {
        (Some(first), Some(second)) if first != second => {
            Err(OAuthError::invalid_request(format!(
                "{name}: expected the same in the Authorization header and in the body, found two \
                 that differ"
            )))
        }
        (first, second) => Ok(first.or(second)),
    };
    Ok(Presented {
        id: one("client_id", header.id, body.id)?,
        secret: one("client_secret", header.secret, body.secret)?,
    })
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn presented(id: &str, secret: &str) -> Option<Presented> {
        let header = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let header = HeaderValue::from_str(&header).expect("base64 can be a header");
        Presented::from_basic(&header).ok()
    }

    proptest! {
        /// RFC 6749 §2.3.1 as it stands: every part form-encoded.
        #[test]
        fn what_is_sent_encoded_is_read_back(id in "\\PC{1,40}", secret in "\\PC{1,80}") {
            let encoded = |part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string();
            let read = presented(&encoded(&id), &encoded(&secret)).expect("a pair");
            prop_assert_eq!(read.id, Some(id));
            prop_assert_eq!(read.secret, Some(secret));
        }

        /// What many clients do: our own identifiers and secrets need no encoding.
        #[test]
        fn what_is_sent_raw_is_read_back(id in "[0-9A-Za-z]{22}", secret in "ks_cs_[0-9A-Za-z]{71}") {
            let read = presented(&id, &secret).expect("a pair");
            prop_assert_eq!(read.id, Some(id));
            prop_assert_eq!(read.secret, Some(secret));
        }

        #[test]
        fn no_header_panics(header: Vec<u8>, base64 in "[Bb]asic +[A-Za-z0-9+/=]{0,80}") {
            for bytes in [header, base64.into_bytes()] {
                if let Ok(header) = HeaderValue::from_bytes(&bytes) {
                    let _ = Presented::from_basic(&header);
                }
            }
        }
    }
}
