//! Floor 3: bytes on a socket become a [`request::Request`], a [`response::Response`] becomes bytes.
//!
//! Connections, limits, TLS, routing, and the parts of a request that every endpoint reads. Nothing
//! here knows OAuth, the store, or HTML: what a route asks of its caller, and how a refusal is
//! worded, come from the [`dispatch::Application`].

pub mod cookies;
pub mod dispatch;
pub mod params;
pub mod request;
pub mod response;
pub mod route;

#[cfg(test)]
mod testing;
