//! Which addresses are on the public internet, and what the others are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

/// The network of that length behind the first 48 bits of an address.
const fn v6(first: u128, prefix: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::from_bits(first << 80)), prefix)
}

/// Every network that is not the public internet. What carries an IPv4 address inside an IPv6 one
/// is among them whatever it carries: where such a packet comes out is not ours to see.
///
/// # Source
/// The special-purpose address registries of IANA (RFC 6890), 2026.
const NOT_GLOBAL: &[(IpNet, &str)] = &[
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "a provider's own (CGNAT)"),
    (v4(127, 0, 0, 0, 8), "this machine"),
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "for protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "for benchmarks"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (UNSPECIFIED, "unspecified"),
    (LOOPBACK, "this machine"),
    (MAPPED, "IPv4-mapped"),
    (v6(0, 96), "IPv4-compatible"),
    (v6(0x0064_ff9b_0000, 96), "NAT64"),
    (v6(0x0064_ff9b_0001, 48), "a site's own NAT64"),
    (v6(0x0100_0000_0000, 64), "for discarding"),
    (v6(0x2001_0000_0000, 32), "Teredo"),
    (v6(0x2001_0002_0000, 48), "for benchmarks"),
    (v6(0x2001_0000_0000, 23), "for protocols"),
    (v6(0x2001_0db8_0000, 32), "for documentation"),
    (v6(0x2002_0000_0000, 16), "6to4"),
    (v6(0x3fff_0000_0000, 20), "for documentation"),
    (v6(0xfc00_0000_0000, 7), "private"),
    (v6(0xfe80_0000_0000, 10), "link-local"),
    (v6(0xfec0_0000_0000, 10), "a site's own"),
    (v6(0xff00_0000_0000, 8), "multicast"),
];

/// All that IANA has given out as global unicast (RFC 3513 §2.4).
const GLOBAL_V6: IpNet = v6(0x2000_0000_0000, 3);

const UNSPECIFIED: IpNet = IpNet::new_assert(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128);
const LOOPBACK: IpNet = IpNet::new_assert(IpAddr::V6(Ipv6Addr::LOCALHOST), 128);
const MAPPED: IpNet = IpNet::new_assert(IpAddr::V6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped()), 96);

/// What an address is that is not on the public internet; `None` for one that is.
pub(super) fn why_not_global(address: IpAddr) -> Option<&'static str> {
    let special = NOT_GLOBAL
        .iter()
        .find(|(network, _)| network.contains(&address));
    match special {
        Some((_, what)) => Some(what),
        None if address.is_ipv6() && !GLOBAL_V6.contains(&address) => Some("not given out"),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threat 23: the first and the last address of every class.
    #[test]
    fn every_class_of_address_is_known_from_end_to_end() {
        for (text, what) in [
            ("0.0.0.0", "this network"),
            ("0.255.255.255", "this network"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "a provider's own (CGNAT)"),
            ("100.127.255.255", "a provider's own (CGNAT)"),
            ("127.0.0.1", "this machine"),
            ("127.255.255.255", "this machine"),
            ("169.254.169.254", "link-local"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.1", "for protocols"),
            ("192.0.2.1", "for documentation"),
            ("192.88.99.1", "a 6to4 relay"),
            ("192.168.0.0", "private"),
            ("192.168.255.255", "private"),
            ("198.18.0.0", "for benchmarks"),
            ("198.19.255.255", "for benchmarks"),
            ("198.51.100.7", "for documentation"),
            ("203.0.113.7", "for documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.254", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "this machine"),
            ("::2", "IPv4-compatible"),
            ("::8.8.8.8", "IPv4-compatible"),
            ("::ffff:127.0.0.1", "IPv4-mapped"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("64:ff9b::127.0.0.1", "NAT64"),
            ("64:ff9b::8.8.8.8", "NAT64"),
            ("64:ff9b:1::10.0.0.1", "a site's own NAT64"),
            ("100::1", "for discarding"),
            ("2001::1", "Teredo"),
            ("2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
            ("2001:2::1", "for benchmarks"),
            ("2001:10::1", "for protocols"),
            ("2001:1ff:ffff::1", "for protocols"),
            ("2001:db8::1", "for documentation"),
            ("2002:7f00:1::1", "6to4"),
            ("2002:808:808::1", "6to4"),
            ("3fff::1", "for documentation"),
            ("3fff:fff:ffff::1", "for documentation"),
            ("fc00::1", "private"),
            ("fdff:ffff::1", "private"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "a site's own"),
            ("ff02::1", "multicast"),
            ("200::1", "not given out"),
            ("1fff::1", "not given out"),
            ("4000::1", "not given out"),
            ("5f00::1", "not given out"),
            ("fbff::1", "not given out"),
        ] {
            let address = text.parse().expect(text);
            assert_eq!(why_not_global(address), Some(what), "{text}");
        }
    }

    #[test]
    fn the_neighbours_of_every_class_are_on_the_public_internet() {
        for text in [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
        ] {
            let address = text.parse().expect(text);
            assert_eq!(why_not_global(address), None, "{text}");
        }
    }
}
