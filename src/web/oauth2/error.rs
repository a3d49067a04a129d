//! An error in OAuth's own words (RFC 6749 §5.2, RFC 7591 §3.2.2).

use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::{
    http::{
        params::{ParamsError, Repeated},
        response::{Response, json},
    },
    store::StoreError,
    web::{headers::never_stored, throttle::Wait},
};

/// Characters of a description at the most.
pub const DESCRIPTION_LEN_MAX: usize = 2_048;

/// What a client is answered instead of what it wanted.
#[derive(Debug)]
pub struct OAuthError {
    status: StatusCode,
    code: &'static str,
    description: String,
    header: Option<(http::HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl OAuthError {
    /// An error with that status and code; the description is for the client's developer.
    pub fn new(status: StatusCode, code: &'static str, description: impl Into<String>) -> Self {
        let description = describe(&description.into());
        Self {
            status,
            code,
            description,
            header: None,
        }
    }

    /// 400 with `code`.
    pub fn bad_request(code: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, description)
    }

    /// 400 `invalid_request`.
    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::bad_request("invalid_request", description)
    }

    /// 401 `invalid_client`, with the challenge that RFC 6749 §5.2 asks for.
    pub fn invalid_client(description: impl Into<String>) -> Self {
        let challenge = HeaderValue::from_static(r#"Basic realm="keystead""#);
        Self {
            header: Some((WWW_AUTHENTICATE, challenge)),
            ..Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
        }
    }

    /// 429 `temporarily_unavailable`, with when to try again.
    pub fn too_often(wait: Wait) -> Self {
        let Wait { seconds, .. } = wait;
        Self {
            header: Some((RETRY_AFTER, HeaderValue::from(seconds))),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                format!("expected fewer requests; try again in {seconds} seconds"),
            )
        }
    }

    /// 401 `invalid_token`, of RFC 7592 §2.
    pub fn invalid_token(description: impl Into<String>) -> Self {
        let challenge =
            HeaderValue::from_static(r#"Bearer realm="keystead", error="invalid_token""#);
        Self {
            header: Some((WWW_AUTHENTICATE, challenge)),
            ..Self::new(StatusCode::UNAUTHORIZED, "invalid_token", description)
        }
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(self, name: http::HeaderName, value: HeaderValue) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    /// Whether something failed here, and the client has nothing to change.
    pub(in crate::web) fn is_fault(&self) -> bool {
        self.status.is_server_error()
    }

    /// What the client's developer is told.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The error as an answer.
    pub fn into_response(self) -> Response {
        let body = Body {
            error: self.code,
            error_description: &self.description,
        };
        let mut response = never_stored(json(self.status, &body));
        response.headers_mut().extend(self.header);
        response
    }
}

impl From<StoreError> for OAuthError {
    /// Nothing was changed, and nothing internal is said.
    fn from(fault: StoreError) -> Self {
        tracing::error!(%fault, "the store failed a request");
        if fault.is_busy() {
            return Self {
                header: Some((RETRY_AFTER, HeaderValue::from_static("1"))),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    "the server is busy; try again in a moment",
                )
            };
        }
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "something failed here; nothing was changed",
        )
    }
}

impl From<ParamsError> for OAuthError {
    fn from(error: ParamsError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

impl From<Repeated> for OAuthError {
    /// RFC 6749 §3.2: "parameters MUST NOT be included more than once".
    fn from(error: Repeated) -> Self {
        Self::invalid_request(error.to_string())
    }
}

/// `text` in the characters that RFC 6749 §5.2 allows, and not longer than anybody reads.
pub fn describe(text: &str) -> String {
    let allowed = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => c,
        _ => '?',
    };
    text.chars()
        .map(allowed)
        .take(DESCRIPTION_LEN_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_stays_within_its_characters_and_its_length() {
        assert_eq!(describe("a \"b\" \\ é\n"), "a 'b' / ??");
        assert_eq!(describe(&"x".repeat(5_000)).len(), DESCRIPTION_LEN_MAX);
    }
}
