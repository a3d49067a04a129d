//! The one way out: an https client that calls only where it may.
//!
//! A name is resolved once, every address that comes back is judged, and only a judged address is
//! connected to, so that an answer which changes in between changes nothing. Nothing is followed,
//! nothing is tried twice, and the whole call has one deadline.
//!
//! # Source
//! Threats 23 and 40; OWASP, Server-Side Request Forgery Prevention.

mod address;
mod call;
mod freshness;
mod named;
mod network;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ipnet::IpNet;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Host, Url};

pub use named::{NamedServers, Wire, judge_literal};
pub use network::{Answer, Dial, Resolve, SystemDialer, SystemResolver};

use crate::{config::Switch, model::https_url::HttpsUrl};

/// From the call to the last byte of the answer.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Documents that are fetched at once; one more waits, within its own deadline.
pub const CALLS_MAX: usize = 16;
/// Messages that are sent at once; one more waits, within its own deadline. They have a bound of
/// their own, so that a push service that hangs keeps nobody's document from being fetched.
pub const POSTS_MAX: usize = 40;
/// Addresses of one name at the most; more are refused, because all have to be judged.
pub const ADDRESSES_MAX: usize = 32;
/// Bytes of an answer's head at the most.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of an answer at the most.
pub const HEADERS_MAX: usize = 64;

/// The way out, or none.
pub struct Outbound(Option<Way>);

struct Way {
    resolver: Box<dyn Resolve>,
    dialer: Box<dyn Dial>,
    tls: TlsConnector,
    /// Networks that may be called although they are not on the public internet.
    allowed: Vec<IpNet>,
    calls: Semaphore,
    posts: Semaphore,
    /// From a call to the last byte of its answer.
    deadline: Duration,
}

/// What a message was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The status, whichever it is.
    pub status: StatusCode,
    /// How long the server asks to wait before it is called again; `None` if it does not.
    pub retry_after: Option<Duration>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The whole body.
    pub body: Bytes,
    /// For how long its headers let it be kept; `None` if they say nothing.
    pub fresh_for: Option<Duration>,
}

/// Why nothing came back. The message is for whoever is signed in; what only an administrator
/// should know is in `Debug`.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// Nothing may be called.
    #[error("this box calls no other server (--egress off)")]
    Off,
    /// The name has no address.
    #[error("expected {host} to have an address, found none")]
    Unresolved {
        /// The name.
        host: String,
        /// What the name servers say.
        cause: io::Error,
    },
    /// The name has more addresses than can be judged.
    #[error("expected at most {ADDRESSES_MAX} addresses, found {found}")]
    TooManyAddresses {
        /// How many.
        found: usize,
    },
    /// One of the addresses is not to be called.
    #[error("expected {host} to be on the public internet only, found an address that is {what}")]
    NotGlobal {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
        /// What it is instead.
        what: &'static str,
    },
    /// One of the addresses of a server that the owner named is none of a server.
    #[error("expected {host} to be a server, found an address that is {what}")]
    NotCallable {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
        /// What it is instead.
        what: &'static str,
    },
    /// A public address without TLS.
    #[error("expected {host} at a private address, found a public one: there it takes https")]
    InClear {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// No address answers.
    #[error("expected a connection to {host}, found none")]
    Unreachable {
        /// The name.
        host: String,
        /// What the system says of the last address.
        cause: io::Error,
    },
    /// Whoever answers cannot prove to be the host, or speaks no TLS.
    #[error("expected a certificate for {host} that this box trusts")]
    Untrusted {
        /// The name.
        host: String,
        /// What is wrong with it.
        cause: io::Error,
    },
    /// Not HTTP, or not to its end.
    #[error("expected an HTTP answer, found one that breaks off or is none")]
    Broken(#[from] hyper::Error),
    /// Somewhere else.
    #[error("expected the document itself, found a redirect ({0}), which is not followed")]
    Redirect(StatusCode),
    /// Not 200.
    #[error("expected status 200, found {0}")]
    Status(StatusCode),
    /// Another media type, or none.
    #[error("expected Content-Type application/json, found another")]
    NotJson,
    /// Longer than it may be.
    #[error("expected at most {bytes_max} bytes, found more")]
    TooLarge {
        /// Bytes at the most.
        bytes_max: usize,
    },
    /// Not within [`DEADLINE`].
    #[error("expected an answer within {} seconds", DEADLINE.as_secs())]
    TooSlow,
}

impl Outbound {
    /// No way out: nothing is ever called.
    pub const fn off() -> Self {
        Self(None)
    }

    /// A way out that trusts `roots`, and that leads to the public internet and to `allowed`.
    ///
    /// # Panics
    /// Never: ring serves the default versions of TLS.
    pub fn new(
        resolver: impl Resolve + 'static,
        dialer: impl Dial + 'static,
        roots: RootCertStore,
        allowed: Vec<IpNet>,
    ) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring serves them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Some(Way {
            resolver: Box::new(resolver),
            dialer: Box::new(dialer),
            tls: TlsConnector::from(Arc::new(config)),
            allowed,
            calls: Semaphore::new(CALLS_MAX),
            posts: Semaphore::new(POSTS_MAX),
            deadline: DEADLINE,
        }))
    }

    /// The same with another [`DEADLINE`], for tests that a busy machine may not fail.
    #[cfg(test)]
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        if let Some(way) = &mut self.0 {
            way.deadline = deadline;
        }
        self
    }

    /// Whether anything can be called.
    pub const fn egress(&self) -> Switch {
        match self.0 {
            Some(_) => Switch::On,
            None => Switch::Off,
        }
    }

    /// The JSON document at `url`, if it has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Whatever is not a whole, small, direct answer of JSON from the host itself; see
    /// [`OutboundError`].
    pub async fn fetch_json(
        &self,
        url: &HttpsUrl,
        bytes_max: usize,
    ) -> Result<Fetched, OutboundError> {
        let way = self.0.as_ref().ok_or(OutboundError::Off)?;
        timeout(way.deadline, way.fetch_json(&url.to_url(), bytes_max))
            .await
            .map_err(|_| OutboundError::TooSlow)?
    }

    /// Sends `body` with `headers` to `url`. Every status is an answer; a redirect is one, too, and
    /// is not followed. The answer's body is not read.
    ///
    /// # Errors
    /// Whatever is no answer of the host itself; see [`OutboundError`].
    pub async fn post(
        &self,
        url: &HttpsUrl,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Posted, OutboundError> {
        let way = self.0.as_ref().ok_or(OutboundError::Off)?;
        timeout(way.deadline, way.post(&url.to_url(), headers, body))
            .await
            .map_err(|_| OutboundError::TooSlow)?
    }
}

impl Way {
    async fn fetch_json(&self, url: &Url, bytes_max: usize) -> Result<Fetched, OutboundError> {
        // A semaphore that is never closed gives leave in the end.
        let _leave = self.calls.acquire().await;
        call::get_json(self.connect(url).await?, url, bytes_max).await
    }

    async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Posted, OutboundError> {
        let _leave = self.posts.acquire().await;
        call::post(self.connect(url).await?, url, headers, body).await
    }

    /// A connection to the host, judged and proved.
    async fn connect(&self, url: &Url) -> Result<TlsStream<TcpStream>, OutboundError> {
        let host = url.host_str().unwrap_or_default();
        let addresses = self.judged_addresses(url).await?;
        let stream = dial_first(&*self.dialer, host, &addresses).await?;
        prove(&self.tls, host, stream).await
    }

    /// Every address of the host, all of which may be called.
    async fn judged_addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, OutboundError> {
        let host = url.host_str().unwrap_or_default();
        let addresses = addresses_of(&*self.resolver, url).await?;
        for address in &addresses {
            self.judge(host, address.ip())?;
        }
        Ok(addresses)
    }

    /// One address that must not be called condemns the name: who controls it chooses the order.
    fn judge(&self, host: &str, address: IpAddr) -> Result<(), OutboundError> {
        let is_allowed = self.allowed.iter().any(|net| net.contains(&address));
        match address::why_not_global(address) {
            Some(what) if !is_allowed => Err(OutboundError::NotGlobal {
                host: host.to_owned(),
                address,
                what,
            }),
            _ => Ok(()),
        }
    }
}

/// Every address of the host.
async fn addresses_of(resolver: &dyn Resolve, url: &Url) -> Result<Vec<SocketAddr>, OutboundError> {
    let host = url.host_str().unwrap_or_default();
    let unresolved = |cause| OutboundError::Unresolved {
        host: host.to_owned(),
        cause,
    };
    let addresses = match url.host() {
        Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
        Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
        Some(Host::Domain(name)) => resolver.resolve(name).await.map_err(unresolved)?,
        None => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(unresolved(io::ErrorKind::NotFound.into()));
    }
    if addresses.len() > ADDRESSES_MAX {
        let found = addresses.len();
        return Err(OutboundError::TooManyAddresses { found });
    }
    let port = url.port_or_known_default().unwrap_or_default();
    let sockets = addresses.into_iter();
    Ok(sockets
        .map(|address| SocketAddr::new(address, port))
        .collect())
}

/// A connection to the first of `addresses` that answers.
async fn dial_first(
    dialer: &dyn Dial,
    host: &str,
    addresses: &[SocketAddr],
) -> Result<TcpStream, OutboundError> {
    let mut cause = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(CONNECT_TIMEOUT, dialer.dial(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => cause = error,
            Err(_) => cause = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(OutboundError::Unreachable {
        host: host.to_owned(),
        cause,
    })
}

/// `stream`, once whoever is at its other end has proved to be `host`.
async fn prove(
    tls: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, OutboundError> {
    let untrusted = |cause| OutboundError::Untrusted {
        host: host.to_owned(),
        cause,
    };
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| untrusted(io::Error::other(error)))?;
    tls.connect(name, stream).await.map_err(untrusted)
}

/// How long one address may take, so that a dead IPv6 route leaves time for IPv4.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
