//! A request as an endpoint sees it, and what every head must be like.

use std::{fmt, net::IpAddr};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN},
    request::Parts,
};

use crate::{
    crypto::entropy::Entropy,
    http::{route::Captures, stream::Line},
    model::{
        id::{Id, base62_fixed},
        timestamp::Timestamp,
    },
};

/// The name of one request, in the answer (`X-Request-Id`) and in every line of the log about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Id);

impl RequestId {
    /// A new name for a request that arrived at `now`.
    pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self(Id::generate(now, entropy))
    }

    pub(crate) fn as_header(self) -> HeaderValue {
        let number = u128::from_be_bytes(*self.0.as_bytes());
        HeaderValue::from_str(base62_fixed(number).as_str())
            .expect("letters and digits can be a header")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Everything of a request but its body.
///
/// Its `Debug` shows neither path, query nor headers: each of them can hold a secret.
#[derive(Clone)]
pub struct Head {
    /// Its name.
    pub id: RequestId,
    /// When it arrived: the only `now` that anything done for it sees.
    pub now: Timestamp,
    /// The method as sent; `HEAD` reaches the handler of `GET`.
    pub method: Method,
    /// The path as sent, percent-encoding and all.
    pub path: String,
    /// What followed the question mark, as sent.
    pub query: Option<String>,
    /// The headers. `Host` is there for HTTP/2 as well, and those that a request may have only
    /// once are there at most once.
    pub headers: HeaderMap,
    /// The client: the peer, or the address that a trusted proxy forwarded.
    pub remote: IpAddr,
    /// What the pattern of the route captured.
    pub captures: Captures,
}

impl Head {
    /// The part of the path that `{name}` of the route's pattern stands for, percent-decoded.
    pub fn capture(&self, name: &str) -> Option<&str> {
        self.captures.get(name)
    }

    /// The first header of that name, if it is printable ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Headers that are read somewhere and mean nothing when they come twice: two readers of one
/// request could each believe another of them (RFC 9110 §5.3).
const SINGLE: [HeaderName; 4] = [HOST, AUTHORIZATION, CONTENT_TYPE, ORIGIN];

impl Head {
    /// The head that `parts` are, of a request that came from `remote` at `now`.
    pub(crate) fn new(parts: Parts, id: RequestId, now: Timestamp, remote: IpAddr) -> Self {
        Self {
            id,
            now,
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            remote,
            captures: Captures::default(),
        }
    }
}

/// Makes the headers of `parts` what [`Head`] promises of them, or says why they cannot be.
pub(crate) fn settle_headers(parts: &mut Parts) -> Result<(), &'static str> {
    let repeated = |name: &HeaderName| parts.headers.get_all(name).iter().nth(1).is_some();
    if SINGLE.iter().any(repeated) {
        return Err("expected Host, Authorization, Content-Type and Origin at most once each");
    }
    let Some(authority) = parts.uri.authority() else {
        // RFC 9112 §3.2: a server MUST answer 400 to an HTTP/1.1 request without a Host.
        let needed = parts.version == Version::HTTP_11 && !parts.headers.contains_key(HOST);
        return if needed {
            Err("expected a Host header, found none")
        } else {
            Ok(())
        };
    };
    let authority = HeaderValue::from_str(authority.as_str())
        .map_err(|_| "expected a host that can be a Host header")?;
    // RFC 9113 §8.3.1: a Host that differs from :authority makes the request malformed. For the
    // absolute form of HTTP/1.1, RFC 9112 §3.2.2 would have the Host ignored; no one means well
    // who sends two.
    match parts.headers.insert(HOST, authority.clone()) {
        Some(host) if host != authority => {
            Err("expected one host, found one in the request's target and another in Host")
        }
        _ => Ok(()),
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("id", &self.id)
            .field("now", &self.now)
            .field("method", &self.method)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// A request with its body, read in full.
#[derive(Clone)]
pub struct Request {
    /// Everything but the body.
    pub head: Head,
    /// The body; empty where the method has none.
    pub body: Bytes,
    /// The connection, for an answer that does not end.
    pub line: Line,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("head", &self.head)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(
        version: Version,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Parts, &'static str> {
        let request = http::Request::builder().version(version).uri(target);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        settle_headers(&mut parts).map(|()| parts)
    }

    #[test]
    fn a_request_names_its_host_exactly_once() {
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        let host = ("host", "box.lan");
        for (version, target, headers) in [
            (one, "/", &[host][..]),
            (one, "http://box.lan/", &[host]),
            (two, "https://box.lan/", &[]),
            (two, "https://box.lan/", &[host]),
        ] {
            let parts = settle(version, target, headers).expect(target);
            assert_eq!(parts.headers[HOST], "box.lan");
        }
        for (version, target, headers) in [
            (one, "/", &[][..]),
            (one, "/", &[host, host]),
            (one, "http://evil.example/", &[host]),
            (two, "https://evil.example/", &[host]),
        ] {
            assert!(
                settle(version, target, headers).is_err(),
                "{target} {headers:?}"
            );
        }
        assert!(settle(Version::HTTP_10, "/", &[]).is_ok());
    }

    #[test]
    fn a_credential_comes_at_most_once() {
        let token = ("authorization", "Bearer a");
        let host = ("host", "box.lan");
        assert!(settle(Version::HTTP_11, "/", &[host, token]).is_ok());
        assert!(settle(Version::HTTP_11, "/", &[host, token, token]).is_err());
    }

    #[test]
    fn debug_shows_nothing_that_can_be_a_secret() {
        let mut head = crate::http::testing::head(&[("authorization", "hush")]);
        head.path = "/claim/hush".into();
        head.query = Some("code=hush".into());
        let request = Request {
            head,
            body: Bytes::from_static(b"hush"),
            line: Line::default(),
        };
        assert!(!format!("{request:?}").contains("hush"));
    }
}
