//! Who the client is, when a proxy stands between.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, header::FORWARDED};
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client.
///
/// It is the peer's, unless the peer is one of `trusted`: then it is the rightmost address that the
/// proxies noted which is not itself a trusted proxy. Whatever stands to the left of it was written
/// by a stranger. A note that is no address ends the search at the last hop that is known.
///
/// A proxy that writes one of the two headers may pass on the other as the client wrote it; where
/// they disagree neither is believed, and the client is the peer.
///
/// # Source
/// RFC 7239 (`Forwarded`) and the older `X-Forwarded-For`.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let of = |name: &str, note: fn(&str) -> Option<IpAddr>| {
        headers
            .contains_key(name)
            .then(|| rightmost_stranger(peer, headers, name, note, trusted))
    };
    match (
        of(X_FORWARDED_FOR, address),
        of(FORWARDED.as_str(), forwarded_for),
    ) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(client), _) | (None, Some(client)) => client,
        (None, None) => peer,
    }
}

/// Whether `address` is in one of `networks`; an IPv4 address is the same in IPv6's clothes.
pub(crate) fn is_trusted(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

fn rightmost_stranger(
    peer: IpAddr,
    headers: &HeaderMap,
    name: &str,
    note: fn(&str) -> Option<IpAddr>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut client = peer;
    // Several headers of a name are one list (RFC 9110 §5.3), so that the last one is rightmost.
    let lists: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    for list in lists.into_iter().rev() {
        let Ok(list) = std::str::from_utf8(list) else {
            return client;
        };
        for hop in split_outside_quotes(list, ',').into_iter().rev() {
            let Some(address) = note(hop) else {
                return client;
            };
            client = address;
            if !is_trusted(client, trusted) {
                return client;
            }
        }
    }
    client
}

/// The address in one element of `Forwarded`: that of its `for=`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    split_outside_quotes(element, ';')
        .into_iter()
        .find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("for")
                .then(|| address(value))?
        })
}

/// An address as proxies write it: bare, in brackets, in quotes, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address: IpAddr = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::testing::head;

    /// The client of a request from `peer` with these headers, where `10.0.0.0/8` and `fd00::/8` are
    /// trusted.
    fn client_of(peer: &str, headers: &[(&str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
        let peer = peer.parse().expect("an address");
        client(peer, &head(headers).headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_forwards_nothing() {
        for name in [X_FORWARDED_FOR, "forwarded"] {
            for value in ["1.2.3.4", "for=1.2.3.4", "10.0.0.1"] {
                assert_eq!(client_of("203.0.113.9", &[(name, value)]), "203.0.113.9");
            }
        }
    }

    #[test]
    fn the_rightmost_stranger_is_the_client() {
        for (list, client) in [
            ("192.0.2.1", "192.0.2.1"),
            // What a client wrote itself stands to the left of what the proxy saw.
            ("1.1.1.1, 10.0.0.5, 192.0.2.1", "192.0.2.1"),
            ("1.1.1.1,192.0.2.1,10.0.0.5,10.0.0.6", "192.0.2.1"),
            ("10.0.0.7, 10.0.0.8", "10.0.0.7"),
            ("192.0.2.1:5678", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443, fd00::2", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(
                client_of("10.0.0.1", &[(X_FORWARDED_FOR, list)]),
                client,
                "{list}"
            );
        }
    }

    #[test]
    fn a_proxy_may_speak_rfc_7239() {
        for (list, client) in [
            ("for=192.0.2.1", "192.0.2.1"),
            (
                "For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1",
                "2001:db8::1",
            ),
            (
                "for=1.1.1.1, proto=http;for=192.0.2.1;host=\"a,b;for=9.9.9.9\"",
                "192.0.2.1",
            ),
        ] {
            assert_eq!(
                client_of("10.0.0.1", &[("forwarded", list)]),
                client,
                "{list}"
            );
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let headers = [
            (X_FORWARDED_FOR, "1.1.1.1"),
            (X_FORWARDED_FOR, "192.0.2.1, 10.0.0.2"),
        ];
        assert_eq!(client_of("10.0.0.1", &headers), "192.0.2.1");
    }

    #[test]
    fn junk_ends_the_search_at_the_last_known_hop() {
        for (name, list, client) in [
            (X_FORWARDED_FOR, "", "10.0.0.1"),
            (X_FORWARDED_FOR, "1.1.1.1, unknown", "10.0.0.1"),
            (X_FORWARDED_FOR, "1.1.1.1, <script>, 10.0.0.9", "10.0.0.9"),
            ("forwarded", "for=1.1.1.1, for=_hidden", "10.0.0.1"),
            ("forwarded", "for=1.1.1.1, proto=https", "10.0.0.1"),
            ("forwarded", "for=\"1.1.1.1", "10.0.0.1"),
        ] {
            assert_eq!(client_of("10.0.0.1", &[(name, list)]), client, "{list}");
        }
    }

    #[test]
    fn headers_that_disagree_are_not_believed() {
        let both = |xff, forwarded| {
            client_of(
                "10.0.0.1",
                &[(X_FORWARDED_FOR, xff), ("forwarded", forwarded)],
            )
        };
        assert_eq!(both("192.0.2.1", "for=6.6.6.6"), "10.0.0.1");
        assert_eq!(both("192.0.2.1", "for=192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn an_ipv4_proxy_on_an_ipv6_socket_is_the_same_proxy() {
        assert_eq!(
            client_of("::ffff:10.0.0.1", &[(X_FORWARDED_FOR, "192.0.2.1")]),
            "192.0.2.1"
        );
    }

    proptest! {
        #[test]
        fn no_list_panics_and_no_stranger_is_believed(list in "[ -~]{0,60}") {
            client_of("10.0.0.1", &[("forwarded", &list)]);
            prop_assert_eq!(client_of("192.0.2.7", &[(X_FORWARDED_FOR, &list)]), "192.0.2.7");
        }
    }
}
