//! The address under which the deployment is known: the issuer, and the start of every URL.

use std::{fmt, str::FromStr};

use url::{Host, Url};

/// The public URL: scheme, host and port, lower case, no default port, no trailing slash.
///
/// Every URL in every document is built from it and never from a request's headers.
///
/// # Source
/// RFC 8414 §2 (issuer identifier); threats 5 and 28.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl {
    url: Url,
    text: String,
}

/// Why a text is not a public URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicUrlError {
    /// Not a URL at all.
    #[error("expected a URL such as https://box.lan, found {0:?}")]
    NotAUrl(String),
    /// A scheme that browsers do not fetch.
    #[error("expected https:// (or http:// for localhost), found the scheme {0:?}")]
    Scheme(String),
    /// Plain http to another machine would show every token to the network.
    #[error(
        "expected https:// because {0:?} is not this machine itself; plain http is only for \
         localhost, 127.0.0.1 and [::1]"
    )]
    PlainHttp(String),
    /// More than scheme, host and port.
    #[error("expected scheme, host and port only, found a {0} as well")]
    Extra(&'static str),
}

impl PublicUrl {
    /// The URL as every document shows it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL of `path`, which begins with a slash (or is empty).
    pub fn join(&self, path: &str) -> String {
        debug_assert!(path.is_empty() || path.starts_with('/'));
        format!("{}{path}", self.text)
    }

    /// Host and port as a browser sends them in `Host`: the port only where it is not the default.
    pub fn authority(&self) -> &str {
        self.text
            .split_once("://")
            .map_or("", |(_, authority)| authority)
    }

    /// The host alone: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The port, given or by default.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// Whether browsers reach it by https.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether the URL `text` is at this address: the same scheme, host and port.
    pub fn is_origin_of(&self, text: &str) -> bool {
        Url::parse(text).is_ok_and(|other| other.origin() == self.url.origin())
    }

    /// Whether the host is this machine itself.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let url = Url::parse(text).map_err(|_| PublicUrlError::NotAUrl(text.to_owned()))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(PublicUrlError::PlainHttp(
                    url.host_str().unwrap_or("").to_owned(),
                ));
            }
            other => return Err(PublicUrlError::Scheme(other.to_owned())),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PublicUrlError::Extra("user name"));
        }
        if url.path() != "/" {
            return Err(PublicUrlError::Extra("path"));
        }
        if url.query().is_some() {
            return Err(PublicUrlError::Extra("query"));
        }
        if url.fragment().is_some() {
            return Err(PublicUrlError::Extra("fragment"));
        }
        // `Url` has lowered the case and dropped a default port; only the slash is left.
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_canonical() {
        for (given, kept) in [
            ("http://localhost:8420/", "http://localhost:8420"),
            ("HTTPS://Box.LAN:443", "https://box.lan"),
            ("https://box.lan:8443", "https://box.lan:8443"),
            ("http://[::1]:8420", "http://[::1]:8420"),
        ] {
            let url: PublicUrl = given.parse().expect(given);
            assert_eq!(url.as_str(), kept);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "box.lan",
            "ftp://box.lan",
            "https://",
            "https://u@box.lan",
            "https://box.lan/x",
            "https://box.lan?x",
            "https://box.lan/#x",
            "http://box.lan",
            "http://192.168.1.2",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn it_knows_what_is_at_its_address() {
        let url: PublicUrl = "https://box.lan".parse().expect("a URL");
        for own in [
            "https://box.lan",
            "https://box.lan:443/mcp",
            "HTTPS://BOX.LAN/x?y",
        ] {
            assert!(url.is_origin_of(own), "{own}");
        }
        for other in [
            "https://box.lan:8443",
            "http://box.lan",
            "https://a.box.lan",
            "box.lan",
        ] {
            assert!(!url.is_origin_of(other), "{other}");
        }
    }

    #[test]
    fn authority_is_what_a_browser_sends() {
        let url: PublicUrl = "https://box.lan:443/".parse().expect("a URL");
        assert_eq!(url.authority(), "box.lan");
        assert_eq!(url.port(), 443);
    }
}
