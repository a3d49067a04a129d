//! The answers that endpoints give.

use std::convert::Infallible;

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use serde::Serialize;

/// The body of every answer: in one piece, or a stream.
pub type Body = BoxBody<Bytes, Infallible>;

/// Headers that an answer has room for from the beginning: the map would grow twice otherwise.
const HEADERS_EXPECTED: usize = 12;

/// An answer.
pub type Response = http::Response<Body>;

/// `value` as JSON.
///
/// # Panics
/// As [`json_bytes`].
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    rendered_json(status, json_bytes(value))
}

/// The bytes of `value` as JSON.
///
/// # Panics
/// If `value` cannot be JSON (a map whose keys are no strings): a mistake of ours, answered 500.
pub fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what we answer can be JSON")
}

/// What [`json_bytes`] made.
pub fn rendered_json(status: StatusCode, json: impl Into<Bytes>) -> Response {
    with_body(status, "application/json", json)
}

/// A page.
pub fn html(status: StatusCode, page: String) -> Response {
    with_body(status, "text/html; charset=utf-8", page)
}

/// Plain text.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
    with_body(status, "text/plain; charset=utf-8", text.into())
}

/// Bytes of any kind, status 200.
pub fn bytes(content_type: &'static str, bytes: Bytes) -> Response {
    with_body(StatusCode::OK, content_type, bytes)
}

/// No body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Sends the browser to `location` with a `GET`, as after every post.
///
/// # Panics
/// If `location` has a character that no URL has (a control character, a letter beyond ASCII): a
/// mistake of ours, answered 500.
pub fn see_other(location: &str) -> Response {
    let mut response = empty(StatusCode::SEE_OTHER);
    let location = HeaderValue::from_str(location).expect("a URL can be a header");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A body in one piece.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

fn with_body(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Response {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().reserve(HEADERS_EXPECTED);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_it_is() {
        for (response, status, content_type) in [
            (json(StatusCode::CREATED, &[1]), 201, "application/json"),
            (
                html(StatusCode::OK, "<p>".into()),
                200,
                "text/html; charset=utf-8",
            ),
            (
                text(StatusCode::NOT_FOUND, "no"),
                404,
                "text/plain; charset=utf-8",
            ),
            (
                bytes("image/png", Bytes::from_static(b"x")),
                200,
                "image/png",
            ),
        ] {
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], content_type);
        }
    }

    #[test]
    fn after_a_post_the_browser_gets() {
        let response = see_other("/account?x=1");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[LOCATION], "/account?x=1");
    }
}
