//! How a refusal is worded: a page for a person, OAuth's JSON for a client, plain JSON for the
//! rest.

use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT, RETRY_AFTER},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::{
    http::{
        dispatch::Refusal,
        request::Head,
        response::{Response, json, see_other},
    },
    store::StoreError,
    web::{Web, oauth2::error::OAuthError, pages::message},
};

/// An error of the management API and of everything that has no words of its own.
#[derive(Debug, Serialize)]
pub struct ApiError<'a> {
    /// What happened.
    pub message: &'a str,
    /// What was expected and what was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Which fields cannot be taken, and why.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub validations: &'a [Validation],
}

/// Why one field of a request cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Validation {
    /// Its name.
    pub field: String,
    /// What was expected and what was found.
    pub detail: String,
}

impl<'a> ApiError<'a> {
    /// An error of no field in particular.
    pub const fn new(message: &'a str, detail: Option<String>) -> Self {
        Self {
            message,
            detail,
            validations: &[],
        }
    }
}

/// Who reads the answer of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Person,
    OAuthClient,
    Program,
}

/// Paths that only OAuth clients call.
const CLIENT_PATHS: [&str; 9] = [
    "/oauth2/token",
    "/oauth2/tokens",
    "/token",
    "/oauth2/register",
    "/register",
    "/oauth2/revoke",
    "/oauth2/introspect",
    "/oauth2/device_authorization",
    "/oauth2/clients/",
];
/// Paths that only programs call.
const PROGRAM_PATHS: [&str; 5] = ["/api/", "/.well-known/", "/mcp", "/healthz", "/readyz"];

fn reader(head: &Head) -> Reader {
    let path = head.path.as_str();
    if CLIENT_PATHS
        .iter()
        .any(|known| path == *known || known.ends_with('/') && path.starts_with(known))
    {
        return Reader::OAuthClient;
    }
    if PROGRAM_PATHS.iter().any(|prefix| path.starts_with(prefix)) {
        return Reader::Program;
    }
    // A browser that navigates says that it wants a page; nothing else does.
    let wants_page = head
        .header(ACCEPT.as_str())
        .is_some_and(|accept| accept.contains("text/html"));
    if wants_page {
        Reader::Person
    } else {
        Reader::Program
    }
}

/// Words a refusal of the dispatcher.
pub fn refuse(web: &Web, head: &Head, refusal: &Refusal) -> Response {
    let status = refusal.status();
    match reader(head) {
        Reader::OAuthClient if status != StatusCode::NOT_FOUND => {
            let code = if status.is_server_error() {
                "server_error"
            } else {
                "invalid_request"
            };
            OAuthError::new(status, code, refusal.to_string()).into_response()
        }
        Reader::Person => message::refused(web, head, refusal),
        Reader::OAuthClient | Reader::Program => {
            let message = match refusal {
                Refusal::RouteUnknown => "Route not found.",
                Refusal::MethodNotAllowed { .. } => "Method not allowed.",
                _ => "The request was refused.",
            };
            let detail = (status != StatusCode::NOT_FOUND).then(|| refusal.to_string());
            json(status, &ApiError::new(message, detail))
        }
    }
}

/// The answer to a fault of the store: nothing was changed, and nothing of it is said.
pub fn fault(web: &Web, head: &Head, fault: &StoreError) -> Response {
    tracing::error!(%fault, "the store failed a request");
    let refusal = if fault.is_busy() {
        Refusal::Busy
    } else {
        Refusal::Fault
    };
    let mut response = refuse(web, head, &refusal);
    if fault.is_busy() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The answer to a program that sent no credential; the challenge goes with it.
pub fn unauthorized() -> Response {
    unauthorized_because("Expected an access token, found none.")
}

/// The answer to a program whose credential is not the one that `message` asks for.
pub fn unauthorized_because(message: &str) -> Response {
    json(StatusCode::UNAUTHORIZED, &ApiError::new(message, None))
}

/// Sends a browser to the sign-in page, from where it comes back by a full page load.
pub fn sign_in_first(web: &Web, head: &Head) -> Response {
    if head.method != http::Method::GET && head.method != http::Method::HEAD {
        return message::signed_out(web, head);
    }
    let query = head
        .query
        .as_ref()
        .map_or_else(String::new, |query| format!("?{query}"));
    see_other(&sign_in_location(&format!("{}{query}", head.path)))
}

/// The sign-in page that returns to `path`.
pub fn sign_in_location(path: &str) -> String {
    format!(
        "/sign-in?return_to={}",
        utf8_percent_encode(path, NON_ALPHANUMERIC)
    )
}
