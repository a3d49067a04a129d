//! Floor 3: bytes on a socket become a [`request::Request`], a [`response::Response`] becomes bytes.
//!
//! Connections, limits, TLS, routing, and the parts of a request that every endpoint reads. Nothing
//! here knows OAuth, the store, or HTML: what a route asks of its caller, and how a refusal is
//! worded, come from the [`dispatch::Application`].

pub mod cookies;
pub mod dispatch;
pub mod figures;
pub mod forwarded;
pub mod limits;
pub mod params;
pub mod request;
pub mod response;
pub mod route;
pub mod server;
pub mod stream;
pub mod tls;

mod body;
mod ca;
mod connection;
mod cors;
pub(crate) mod guard;
mod log_line;
mod pem;
mod refusal;
mod stall;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
