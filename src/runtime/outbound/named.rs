//! The way to a server that the owner named by its URL: another MCP server of the house, say.
//!
//! The owner's word opens what a stranger's does not: a private address, and plain http to one.
//! The rest is as for every call: a name is resolved once, every address is judged, only a judged
//! one is connected to, and nothing is followed. `--egress off` does not close this way, since a
//! site without internet has servers of its own.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{
    Answer, Dial, OutboundError, Resolve, address::why_not_global, addresses_of, dial_first, prove,
};

/// What is not on the public internet and may yet be named: the machine's own and its site's.
const HOME: [&str; 5] = [
    "private",
    "this machine",
    "link-local",
    "a provider's own (CGNAT)",
    "a site's own",
];

/// A connection, by TLS or not.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The way to servers that the owner named.
pub struct NamedServers {
    /// None on a machine without name servers: there an address can be named.
    resolver: Option<Box<dyn Resolve>>,
    dialer: Box<dyn Dial>,
    tls: TlsConnector,
}

impl NamedServers {
    /// A way that trusts `roots`.
    ///
    /// # Panics
    /// Never: ring serves the default versions of TLS.
    pub fn new(
        resolver: Option<Box<dyn Resolve>>,
        dialer: impl Dial + 'static,
        roots: RootCertStore,
    ) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring serves them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            resolver,
            dialer: Box::new(dialer),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    /// A connection to the server of `url`, proved where it is https.
    pub async fn connect(&self, url: &Url) -> Result<Box<dyn Wire>, OutboundError> {
        let host = url.host_str().unwrap_or_default();
        let addresses = self.addresses(url).await?;
        for address in &addresses {
            judge(url, host, address.ip())?;
        }
        let stream = dial_first(&*self.dialer, host, &addresses).await?;
        if url.scheme() == "https" {
            return Ok(Box::new(prove(&self.tls, host, stream).await?));
        }
        Ok(Box::new(stream))
    }

    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, OutboundError> {
        // RFC 6761 §6.3: it is this machine, whatever a name server says.
        if matches!(url.host(), Some(Host::Domain("localhost"))) {
            let port = url.port_or_known_default().unwrap_or_default();
            let own = [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ];
            return Ok(own.map(|address| SocketAddr::new(address, port)).to_vec());
        }
        match &self.resolver {
            Some(resolver) => addresses_of(&**resolver, url).await,
            None => addresses_of(&NoNames, url).await,
        }
    }
}

/// A machine without name servers knows no name.
struct NoNames;

impl Resolve for NoNames {
    fn resolve<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<IpAddr>> {
        Box::pin(async { Err(io::ErrorKind::NotFound.into()) })
    }
}

/// Refuses a URL that names an address to which [`NamedServers::connect`] would never connect. What a
/// name stands for is known only then.
pub fn judge_literal(url: &Url) -> Result<(), OutboundError> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    judge(url, url.host_str().unwrap_or_default(), address)
}

/// Plain http leads home only: what it carries is seen by whoever stands between.
fn judge(url: &Url, host: &str, address: IpAddr) -> Result<(), OutboundError> {
    let host = host.to_owned();
    match why_not_global(address) {
        Some(what) if HOME.contains(&what) => Ok(()),
        Some(what) => Err(OutboundError::NotCallable {
            host,
            address,
            what,
        }),
        None if url.scheme() == "https" => Ok(()),
        None => Err(OutboundError::InClear { host, address }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::runtime::outbound::{SystemDialer, testing::addresses};

    struct Fixed(Vec<IpAddr>);

    impl Resolve for Fixed {
        fn resolve<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<IpAddr>> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    fn url(text: &str) -> Url {
        text.parse().expect(text)
    }

    /// Threat 23, where the owner named the server.
    #[test]
    fn plain_http_leads_home_and_https_anywhere_that_is_a_server() {
        for (text, address, is_fine) in [
            ("http://a/", "10.0.0.5", true),
            ("http://a/", "127.0.0.1", true),
            ("http://a/", "::1", true),
            ("http://a/", "fd00::1", true),
            ("http://a/", "8.8.8.8", false),
            ("http://a/", "2606:4700::1111", false),
            ("https://a/", "8.8.8.8", true),
            ("https://a/", "192.168.1.1", true),
            ("https://a/", "0.0.0.0", false),
            ("https://a/", "224.0.0.1", false),
            ("https://a/", "255.255.255.255", false),
            ("https://a/", "::ffff:127.0.0.1", false),
            ("https://a/", "64:ff9b::7f00:1", false),
            ("http://a/", "::", false),
        ] {
            let judged = judge(&url(text), "a", address.parse().expect(address));
            assert_eq!(judged.is_ok(), is_fine, "{text} at {address}");
            let address = if address.contains(':') {
                format!("[{address}]")
            } else {
                address.to_owned()
            };
            let literal = url(&text.replace('a', &address));
            assert_eq!(judge_literal(&literal).is_ok(), is_fine, "{literal}");
        }
    }

    #[tokio::test]
    async fn one_bad_address_condemns_the_name_before_any_is_called() {
        let resolver = Box::new(Fixed(addresses(&["127.0.0.1", "8.8.8.8"])));
        let way = NamedServers::new(Some(resolver), SystemDialer, RootCertStore::empty());
        let refused = way.connect(&url("http://box.lan:1/mcp")).await.err();
        assert!(
            matches!(refused, Some(OutboundError::InClear { .. })),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_machine_without_name_servers_reaches_its_own_and_what_an_address_names() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let way = NamedServers::new(None, SystemDialer, RootCertStore::empty());
        for host in ["127.0.0.1", "localhost"] {
            let url = url(&format!("http://{host}:{port}/mcp"));
            let connecting = way.connect(&url);
            let (connected, accepted) = tokio::join!(connecting, listener.accept());
            let mut connected = connected.expect("a connection");
            let (mut accepted, _) = accepted.expect("a connection");
            connected.write_all(b"x").await.expect("a byte");
            assert_eq!(accepted.read_u8().await.expect("a byte"), b'x');
        }
        let unknown = way.connect(&url("http://box.lan/mcp")).await.err();
        assert!(
            matches!(unknown, Some(OutboundError::Unresolved { .. })),
            "{unknown:?}"
        );
    }
}
