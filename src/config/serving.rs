//! How it is served: which addresses, under which URL, in plain http or with TLS.
//!
//! Plain http leaves this machine only towards a trusted proxy. Everything that would break that
//! is refused before anything listens.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use ipnet::IpNet;

use crate::{config::setting::DEFAULT_PORT, model::public_url::PublicUrl};

/// How it is to be reached, as it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Where to listen; empty for what the rest asks for.
    pub listen: Vec<SocketAddr>,
    /// The address that browsers and clients use.
    pub public_url: Option<PublicUrl>,
    /// Who speaks TLS.
    pub tls: Tls,
    /// Reverse proxies whose word about the client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
}

/// Who speaks TLS, as it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// The proxy if one is trusted, else this process with the built-in CA.
    Auto,
    /// This process, with these PEM files.
    Files {
        /// The certificate chain.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// This process, with the built-in CA.
    BuiltIn,
    /// Not this process.
    Off,
}

/// How it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Where to listen: at least one address.
    pub listen: Vec<Listen>,
    /// The address that browsers and clients use.
    pub public_url: PublicSource,
    /// What is spoken there.
    pub transport: Transport,
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// What to do when the machine does not have that address.
    pub unavailable: Unavailable,
}

/// What to do when the machine does not have an address, as when IPv6 is turned off. A busy port
/// is a refusal in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Do not start.
    Refuse,
    /// Do without it.
    Skip,
    /// Listen here instead.
    Instead(SocketAddr),
}

/// Where the public URL comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicSource {
    /// It was given.
    Given(PublicUrl),
    /// `http://localhost` and the port that the first listener was bound to.
    FirstListener,
}

/// What is spoken on the listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain http, to this machine itself and to these proxies.
    Plain {
        /// The proxies.
        proxies: Vec<IpNet>,
    },
    /// TLS, to everybody.
    Tls(TlsSource),
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSource {
    /// From PEM files.
    Files {
        /// The certificate chain.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// From the CA in the data directory.
    BuiltIn,
}

/// Why it cannot be served as it is set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unservable {
    /// Open to the network without a name to be known by.
    #[error(
        "--listen {0} is open to the network, but there is no public URL: give --public-url \
         https://… with the name that browsers use, or listen on 127.0.0.1 or [::1] only"
    )]
    NoPublicUrl(SocketAddr),
    /// TLS without a name to put into the certificate or to check it against.
    #[error("TLS is set, but there is no public URL: give --public-url https://… as well")]
    TlsWithoutUrl,
    /// TLS at an address that browsers reach in plain http.
    #[error(
        "TLS is set, but --public-url {0} is plain http: give an https public URL, or leave out \
         the TLS settings"
    )]
    TlsForHttp(String),
    /// The public URL is this machine itself, the listener is not.
    #[error(
        "--public-url {url} is this machine itself, but --listen {address} is open to the network \
         in plain http: give an https public URL, or listen on 127.0.0.1 or [::1] only, or name \
         the reverse proxy with --trusted-proxy"
    )]
    LoopbackUrlOnNetwork {
        /// The public URL.
        url: String,
        /// The first address that others can reach.
        address: SocketAddr,
    },
    /// Plain http to everybody.
    #[error(
        "--tls off would serve plain http to the network on {0}: name the reverse proxy that \
         speaks TLS with --trusted-proxy, or listen on 127.0.0.1 or [::1] only, or leave out \
         --tls off"
    )]
    PlainOnNetwork(SocketAddr),
}

impl Network {
    /// Decides how it is served.
    ///
    /// # Errors
    /// What would show plain http to the network, or contradicts itself; nothing was bound yet.
    pub fn plan(&self) -> Result<Serving, Unservable> {
        match &self.public_url {
            None => self.plan_without_url(),
            Some(url) if url.is_https() => self.plan_https(url),
            Some(url) => self.plan_http(url),
        }
    }

    fn plan_without_url(&self) -> Result<Serving, Unservable> {
        if self.tls_source().is_some() {
            return Err(Unservable::TlsWithoutUrl);
        }
        if let Some(address) = self.first_on_network() {
            return Err(Unservable::NoPublicUrl(address));
        }
        Ok(Serving {
            listen: self.listen_or(|| on_loopback(DEFAULT_PORT)),
            public_url: PublicSource::FirstListener,
            transport: self.plain(),
        })
    }

    fn plan_http(&self, url: &PublicUrl) -> Result<Serving, Unservable> {
        if self.tls_source().is_some() {
            return Err(Unservable::TlsForHttp(url.to_string()));
        }
        if let (Some(address), true) = (self.first_on_network(), self.trusted_proxies.is_empty()) {
            let url = url.to_string();
            return Err(Unservable::LoopbackUrlOnNetwork { url, address });
        }
        Ok(Serving {
            listen: self.listen_or(|| {
                if self.trusted_proxies.is_empty() {
                    on_loopback(url.port())
                } else {
                    self.behind_proxy()
                }
            }),
            public_url: PublicSource::Given(url.clone()),
            transport: self.plain(),
        })
    }

    fn plan_https(&self, url: &PublicUrl) -> Result<Serving, Unservable> {
        let has_proxy = !self.trusted_proxies.is_empty();
        let source = match self.tls {
            Tls::Auto if !has_proxy => Some(TlsSource::BuiltIn),
            _ => self.tls_source(),
        };
        let public_url = PublicSource::Given(url.clone());
        if let Some(source) = source {
            return Ok(Serving {
                listen: self.listen_or(|| {
                    if url.is_loopback() {
                        on_loopback(url.port())
                    } else {
                        on_network(url.port())
                    }
                }),
                public_url,
                transport: Transport::Tls(source),
            });
        }
        if let (Some(address), false) = (self.first_on_network(), has_proxy) {
            return Err(Unservable::PlainOnNetwork(address));
        }
        Ok(Serving {
            listen: self.listen_or(|| self.behind_proxy()),
            public_url,
            transport: self.plain(),
        })
    }

    /// The certificate that is set by name, whatever the rest says.
    fn tls_source(&self) -> Option<TlsSource> {
        match &self.tls {
            Tls::Auto | Tls::Off => None,
            Tls::BuiltIn => Some(TlsSource::BuiltIn),
            Tls::Files { cert, key } => Some(TlsSource::Files {
                cert: cert.clone(),
                key: key.clone(),
            }),
        }
    }

    fn plain(&self) -> Transport {
        Transport::Plain {
            proxies: self.trusted_proxies.clone(),
        }
    }

    /// The first listen address that others can reach.
    fn first_on_network(&self) -> Option<SocketAddr> {
        let on_network = |address: &&SocketAddr| !is_loopback(address.ip());
        self.listen.iter().find(on_network).copied()
    }

    fn listen_or(&self, default: impl FnOnce() -> Vec<Listen>) -> Vec<Listen> {
        if self.listen.is_empty() {
            return default();
        }
        // Whoever names an address means it.
        self.listen.iter().copied().map(required).collect()
    }

    /// Where a proxy expects it, when nobody said: on this machine if that is where every proxy is.
    fn behind_proxy(&self) -> Vec<Listen> {
        if self.trusted_proxies.iter().all(is_loopback_network) {
            on_loopback(DEFAULT_PORT)
        } else {
            on_network(DEFAULT_PORT)
        }
    }
}

impl Transport {
    /// Whether a connection from `peer` may be served.
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        match self {
            Self::Tls(_) => true,
            Self::Plain { proxies } => {
                peer.is_loopback() || proxies.iter().any(|network| network.contains(&peer))
            }
        }
    }
}

fn required(address: SocketAddr) -> Listen {
    Listen {
        address,
        unavailable: Unavailable::Refuse,
    }
}

fn on_loopback(port: u16) -> Vec<Listen> {
    let v6 = Listen {
        address: (Ipv6Addr::LOCALHOST, port).into(),
        unavailable: Unavailable::Skip,
    };
    vec![required((Ipv4Addr::LOCALHOST, port).into()), v6]
}

/// `[::]` takes IPv4 connections as well.
fn on_network(port: u16) -> Vec<Listen> {
    vec![Listen {
        address: (Ipv6Addr::UNSPECIFIED, port).into(),
        unavailable: Unavailable::Instead((Ipv4Addr::UNSPECIFIED, port).into()),
    }]
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_loopback_network(network: &IpNet) -> bool {
    is_loopback(network.network()) && is_loopback(network.broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is set, in the words of the flags: listen; public URL; TLS; proxies.
    type Set = (&'static str, &'static str, Tls, &'static str);

    fn plan((listen, url, tls, proxies): Set) -> Result<Serving, Unservable> {
        let words = |text: &'static str| text.split_whitespace();
        Network {
            listen: words(listen).map(|a| a.parse().expect(a)).collect(),
            public_url: Some(url)
                .filter(|url| !url.is_empty())
                .map(|url| url.parse().expect(url)),
            tls,
            trusted_proxies: words(proxies).map(|p| p.parse().expect(p)).collect(),
        }
        .plan()
    }

    fn files() -> Tls {
        let (cert, key) = ("c.pem".into(), "k.pem".into());
        Tls::Files { cert, key }
    }

    /// A plan in one line: addresses, URL, transport.
    fn show(serving: &Serving) -> String {
        let listen = serving.listen.iter().map(|listen| {
            let address = listen.address;
            match listen.unavailable {
                Unavailable::Refuse => format!("{address} "),
                Unavailable::Skip => format!("{address}? "),
                Unavailable::Instead(other) => format!("{address}|{other} "),
            }
        });
        let url = match &serving.public_url {
            PublicSource::Given(url) => url.as_str(),
            PublicSource::FirstListener => "derived",
        };
        let transport = match &serving.transport {
            Transport::Plain { proxies } => format!("plain {proxies:?}"),
            Transport::Tls(TlsSource::BuiltIn) => "built-in".to_owned(),
            Transport::Tls(TlsSource::Files { .. }) => "files".to_owned(),
        };
        format!("{}{url} {transport}", listen.collect::<String>())
    }

    #[test]
    fn what_is_only_for_this_machine_is_planned_in_plain_http() {
        use Tls::{Auto, Off};
        let local = "127.0.0.1:8420 [::1]:8420?";
        planned(&[
            (("", "", Auto, ""), &format!("{local} derived plain []")),
            (("", "", Off, ""), &format!("{local} derived plain []")),
            (
                ("127.0.0.1:0", "", Auto, ""),
                "127.0.0.1:0 derived plain []",
            ),
            (
                ("[::ffff:127.0.0.1]:80", "", Auto, ""),
                "[::ffff:127.0.0.1]:80 derived plain []",
            ),
            (
                ("", "http://localhost:9000", Auto, ""),
                "127.0.0.1:9000 [::1]:9000? http://localhost:9000 plain []",
            ),
            (
                ("", "https://box.lan", Off, ""),
                &format!("{local} https://box.lan plain []"),
            ),
        ]);
    }

    #[test]
    fn what_a_proxy_serves_is_planned_in_plain_http() {
        use Tls::{Auto, Off};
        planned(&[
            (
                ("0.0.0.0:1", "http://localhost:9000", Auto, "172.17.0.1/32"),
                "0.0.0.0:1 http://localhost:9000 plain [172.17.0.1/32]",
            ),
            (
                ("", "https://box.lan", Auto, "127.0.0.1/32 ::1/128"),
                "127.0.0.1:8420 [::1]:8420? https://box.lan plain [127.0.0.1/32, ::1/128]",
            ),
            (
                ("", "https://box.lan", Auto, "127.0.0.1/32 10.0.0.0/24"),
                "[::]:8420|0.0.0.0:8420 https://box.lan plain [127.0.0.1/32, 10.0.0.0/24]",
            ),
            (
                ("10.0.0.2:80", "https://box.lan", Off, "10.0.0.1/32"),
                "10.0.0.2:80 https://box.lan plain [10.0.0.1/32]",
            ),
        ]);
    }

    #[test]
    fn everything_else_is_planned_with_tls() {
        use Tls::{Auto, BuiltIn};
        let all = "[::]:443|0.0.0.0:443 https://box.lan";
        planned(&[
            (
                ("", "https://box.lan", Auto, ""),
                &format!("{all} built-in"),
            ),
            (
                ("", "https://box.lan", files(), "10.0.0.0/24"),
                &format!("{all} files"),
            ),
            (
                ("", "https://box.lan:8443", files(), ""),
                "[::]:8443|0.0.0.0:8443 https://box.lan:8443 files",
            ),
            (
                ("10.0.0.2:8443", "https://box.lan", BuiltIn, "10.0.0.0/24"),
                "10.0.0.2:8443 https://box.lan built-in",
            ),
            (
                ("", "https://localhost:8443", Auto, ""),
                "127.0.0.1:8443 [::1]:8443? https://localhost:8443 built-in",
            ),
        ]);
    }

    fn planned(cases: &[(Set, &str)]) {
        for (set, expected) in cases {
            let serving = plan(set.clone()).unwrap_or_else(|error| panic!("{set:?}: {error}"));
            assert_eq!(show(&serving), *expected, "{set:?}");
        }
    }

    #[test]
    fn what_would_show_plain_http_is_refused() {
        let address = "0.0.0.0:8420".parse().expect("an address");
        let url = "http://localhost:8420".to_owned();
        for (set, expected) in [
            (
                ("127.0.0.1:1 0.0.0.0:8420", "", Tls::Auto, ""),
                Unservable::NoPublicUrl(address),
            ),
            (
                ("0.0.0.0:8420", "", Tls::Auto, "10.0.0.1/32"),
                Unservable::NoPublicUrl(address),
            ),
            (("", "", files(), ""), Unservable::TlsWithoutUrl),
            (("", "", Tls::BuiltIn, ""), Unservable::TlsWithoutUrl),
            (
                ("", "http://localhost:8420", files(), ""),
                Unservable::TlsForHttp(url.clone()),
            ),
            (
                ("0.0.0.0:8420", "http://localhost:8420", Tls::Off, ""),
                Unservable::LoopbackUrlOnNetwork { url, address },
            ),
            (
                ("0.0.0.0:8420", "https://box.lan", Tls::Off, ""),
                Unservable::PlainOnNetwork(address),
            ),
        ] {
            assert_eq!(plan(set.clone()), Err(expected), "{set:?}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_and_its_proxies() {
        let proxies = vec!["10.0.0.0/24".parse().expect("a network")];
        let plain = Transport::Plain { proxies };
        for (peer, admitted) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.7", true),
            ("10.0.0.7", true),
            ("10.0.1.7", false),
            ("fe80::1", false),
        ] {
            assert_eq!(plain.admits(peer.parse().expect(peer)), admitted, "{peer}");
        }
        let tls = Transport::Tls(TlsSource::BuiltIn);
        assert!(tls.admits("10.0.1.7".parse().expect("an address")));
    }
}
