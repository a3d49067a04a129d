//! The network as the outbound client needs it: names become addresses, addresses connections.
//!
//! Both come in from outside, so that a test can say what a name resolves to and see which address
//! is called.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
};

use hickory_resolver::{TokioResolver, config::LookupIpStrategy};
use tokio::net::TcpStream;

/// What the network answers, in its own time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync {
    /// Every address of `host`, which is a whole name: no search list completes it.
    fn resolve<'a>(&'a self, host: &'a str) -> Answer<'a, Vec<IpAddr>>;
}

/// Connects to an address.
pub trait Dial: Send + Sync {
    /// A connection to `address`, and to no other.
    fn dial(&self, address: SocketAddr) -> Answer<'_, TcpStream>;
}

/// The machine's name servers and hosts file, asked by this process itself.
///
/// `getaddrinfo` would do it in a thread that no deadline ends, and a static glibc would load the
/// host's own modules for it.
pub struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// The resolver that the machine's configuration describes.
    pub fn from_system() -> io::Result<Self> {
        let mut builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
        let options = builder.options_mut();
        // Every address is judged, so every address is wanted.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let resolver = builder.build().map_err(io::Error::other)?;
        Ok(Self(resolver))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Answer<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let whole = format!("{}.", host.trim_end_matches('.'));
            let found = self.0.lookup_ip(whole).await.map_err(io::Error::other)?;
            Ok(found.iter().collect())
        })
    }
}

/// TCP as the machine has it.
pub struct SystemDialer;

impl Dial for SystemDialer {
    fn dial(&self, address: SocketAddr) -> Answer<'_, TcpStream> {
        Box::pin(TcpStream::connect(address))
    }
}
