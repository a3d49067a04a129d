//! A request as an endpoint sees it.

use std::{fmt, net::IpAddr};

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::{
    crypto::entropy::Entropy,
    http::route::Captures,
    model::{id::Id, timestamp::Timestamp},
};

/// The name of one request, in the answer (`X-Request-Id`) and in every line of the log about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Id);

impl RequestId {
    /// A new name for a request that arrived at `now`.
    pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self(Id::generate(now, entropy))
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
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("head", &self.head)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
