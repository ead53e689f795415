//! Classes of network addresses, and to which of them a registry may send csign.
//!
//! A redirect, an upload location or a token realm is the registry's word, and the registry may be hostile: it could
//! make csign speak to what only this machine can reach. The rule, for every target but the registry itself:
//!
//! - an address that is public is allowed;
//! - a private or a loopback one only if the registry's own address is of the same class;
//! - a link-local, unspecified, multicast or reserved one, or one where a cloud serves its metadata, never.
//!
//! Names are judged by what they resolve to, in the resolver that connects ([`crate::transport`]), so nothing can change
//! between check and use. Behind an https proxy, which resolves names itself, only literal addresses can be judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::host;

/// What an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Public,
    /// Also carrier-grade NAT (RFC 6598), unique local addresses (RFC 4193) and benchmarking networks.
    Private,
    Loopback,
    /// Nothing that a registry has a reason to name.
    Never,
}

/// Where a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To the registry itself, wherever the user said it is.
    Own,
    /// To where a registry sent csign whose own address is of this class.
    From(Class),
}

/// Metadata services whose addresses are not link-local: Alibaba, Azure, Oracle; AWS and Google over IPv6.
const METADATA_V4: [[u8; 4]; 3] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
const METADATA_V6: [[u16; 8]; 2] = [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]];

impl Reach {
    pub(crate) fn allows(self, target: Class) -> bool {
        match (self, target) {
            (Self::Own, _) | (_, Class::Public) => true,
            (_, Class::Never) => false,
            (Self::From(registry), target) => registry == target,
        }
    }
}

impl Class {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// The class of a URL's host where the host itself tells: a literal address, or a name under `localhost`.
    pub(crate) fn of_host(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        match bare.parse() {
            Ok(address) => Some(Self::of(address)),
            Err(_) => host::is_loopback(host).then_some(Self::Loopback),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        octets if METADATA_V4.contains(&octets) => Class::Never,
        [127, ..] => Class::Loopback,
        // This network; link-local; multicast, reserved and broadcast.
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Class::Never,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => Class::Private,
        _ => Class::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Class {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        segments if METADATA_V6.contains(&segments) => Class::Never,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // An IPv4 address inside: mapped, translated, compatible, NAT64 (RFC 6052), 6to4, Teredo.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0, .., high, low] => v4(!high, !low),
        // NAT64 with a prefix of the network's own (RFC 8215).
        [0x64, 0xff9b, 1, ..] => Class::Private,
        // Link-local, multicast, discard-only.
        [0xfe80..=0xfebf, ..] | [0xff00..=0xffff, ..] | [0x100, 0, 0, 0, ..] => Class::Never,
        // Unique local, and the older site-local.
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Class::Private,
        _ => Class::Public,
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "this is a test")]
mod tests {
    use super::*;

    fn class(text: &str) -> Class {
        Class::of_host(&format!("https://{text}/").parse().expect("url")).expect("a literal")
    }

    #[test]
    fn every_spelling_of_an_address_has_the_same_class() {
        for (class_expected, spellings) in [
            (
                Class::Never,
                &[
                    "169.254.169.254",
                    "0.0.0.0",
                    "0.1.2.3",
                    "2852039166",
                    "0xa9fea9fe",
                    "0251.0376.0251.0376",
                    "169.254.43518",
                    "169.254.169.254.",
                    "[::ffff:169.254.169.254]",
                    "[::169.254.169.254]",
                    "[::ffff:0:169.254.169.254]",
                    "[64:ff9b::169.254.169.254]",
                    "[2002:a9fe:a9fe::1]",
                    "[2001:0:1:2:3:4:5601:5601]",
                    "[::]",
                    "[fe80::1]",
                    "[febf::1]",
                    "[ff02::1]",
                    "224.0.0.1",
                    "239.255.255.255",
                    "240.0.0.1",
                    "255.255.255.255",
                    "100.100.100.200",
                    "168.63.129.16",
                    "192.0.0.192",
                    "[fd00:ec2::254]",
                    "[fd20:ce::254]",
                ][..],
            ),
            (
                Class::Loopback,
                &["127.0.0.1", "127.9.9.9", "2130706433", "127.1", "[::1]", "[::ffff:7f00:1]", "localhost"],
            ),
            (Class::Loopback, &["a.localhost", "[64:ff9b::127.0.0.1]", "LOCALHOST"]),
            (
                Class::Private,
                &[
                    "10.0.0.1",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                    "100.64.0.1",
                    "100.127.255.255",
                    "192.0.0.8",
                    "198.19.0.1",
                    "[fc00::1]",
                    "[fd12:3456::1]",
                    "[fec0::1]",
                    "[::ffff:10.0.0.1]",
                    "[64:ff9b::a00:1]",
                    "[64:ff9b:1::1]",
                    "[2002:a00:1::]",
                ],
            ),
            (
                Class::Public,
                &[
                    "8.8.8.8",
                    "172.15.0.1",
                    "172.32.0.1",
                    "100.63.0.1",
                    "100.128.0.1",
                    "198.20.0.1",
                    "[2606:4700::1]",
                    "[64:ff9b::808:808]",
                    "[::ffff:8.8.8.8]",
                ],
            ),
        ] {
            for spelling in spellings {
                assert_eq!(class(spelling), class_expected, "{spelling}");
            }
        }
        assert_eq!(Class::of_host(&"https://r.example/".parse().expect("url")), None);
    }

    #[test]
    fn only_a_registry_of_the_same_class_may_send_csign_to_private_or_loopback_addresses() {
        use Class::{Loopback, Never, Private, Public};
        for registry in [Public, Private, Loopback, Never] {
            let reach = Reach::From(registry);
            assert!(reach.allows(Public) && !reach.allows(Never), "{registry:?}");
            assert_eq!(reach.allows(Private), registry == Private, "{registry:?}");
            assert_eq!(reach.allows(Loopback), registry == Loopback, "{registry:?}");
        }
        assert!([Public, Private, Loopback, Never].into_iter().all(|target| Reach::Own.allows(target)));
    }
}
