//! Where a server may lead a download: the caller may name any address, a redirect may not lead to this machine
//! or to the metadata service of its cloud. The same rules as for documents (`registry/reach.ts`).

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// How far a host may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The caller named it.
    Any,
    /// A server of this machine named it: loopback is allowed.
    Machine,
    /// Another server named it.
    Network,
}

impl Reach {
    /// Whether an address may be connected to.
    pub(crate) fn has(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Any => true,
            Self::Machine => !is_forbidden(address),
            Self::Network => !is_forbidden(address) && !is_own(address),
        }
    }
}

fn is_own(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified(),
    }
}

/// Link-local, multicast and beyond, and metadata services elsewhere (Alibaba, Azure, Oracle, Amazon).
fn is_forbidden(address: IpAddr) -> bool {
    const SERVICES: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
    const SERVICE: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.octets()[0] >= 224 || SERVICES.contains(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast() || v6 == SERVICE,
    }
}

/// The hosts of one download and how far each may be.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Whether a proxy resolves names: then only addresses that are written out can be looked at.
    proxied: bool,
    hosts: Mutex<HashMap<String, Host>>,
}

#[derive(Debug)]
struct Host {
    reach: Reach,
    /// Whether it was found on loopback.
    here: bool,
}

impl Bounds {
    /// Knows no host yet.
    pub(crate) fn new(proxied: bool) -> Self {
        Self { proxied, hosts: Mutex::default() }
    }

    /// Lets a host be asked. What the caller named stays so, whoever names it later.
    pub(crate) fn admit(&self, authority: &str, reach: Reach) -> Result<(), OutOfReach> {
        let literal = bare(authority).parse::<IpAddr>().ok();
        if literal.is_some_and(|address| !reach.has(address)) {
            return Err(OutOfReach);
        }
        let here = literal.is_some_and(is_own);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(authority.to_owned()).or_insert(Host { reach, here });
        if host.reach != Reach::Any {
            host.reach = reach;
        }
        Ok(())
    }

    /// Checks what a host's name was resolved to.
    pub(crate) fn check(&self, authority: &str, addresses: &[IpAddr]) -> Result<(), OutOfReach> {
        if self.proxied {
            return Ok(());
        }
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(authority.to_owned()).or_insert(Host { reach: Reach::Network, here: false });
        host.here = addresses.iter().all(|address| is_own(address.to_canonical()));
        if addresses.iter().all(|address| host.reach.has(*address)) { Ok(()) } else { Err(OutOfReach) }
    }

    /// How far a host may lead.
    pub(crate) fn led_by(&self, authority: &str) -> Reach {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.get(authority).is_some_and(|host| host.here) { Reach::Machine } else { Reach::Network }
    }
}

/// An authority without its port and without the brackets of an IPv6 address.
pub(crate) fn bare(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _)) => v6,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

/// A server led to an address that it may not name.
#[derive(Debug)]
pub(crate) struct OutOfReach;

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a redirect leads to an address that no server may lead to")
    }
}

impl std::error::Error for OutOfReach {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_within_reach() {
        let has = |text: &str| {
            let address: IpAddr = text.parse().expect("address");
            [Reach::Any, Reach::Machine, Reach::Network].map(|reach| reach.has(address))
        };
        for own in ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"] {
            assert_eq!(has(own), [true, true, false], "{own}");
        }
        for bad in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "255.255.255.255",
        ] {
            assert_eq!(has(bad), [true, false, false], "{bad}");
        }
        for other in ["10.0.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"] {
            assert_eq!(has(other), [true, true, true], "{other}");
        }
    }

    #[test]
    fn hosts_keep_who_named_them() {
        let bounds = Bounds::new(false);
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        bounds.admit("registry.example:5000", Reach::Any).expect("named by the caller");
        bounds.check("registry.example:5000", &loopback).expect("wherever it is");
        assert_eq!(bounds.led_by("registry.example:5000"), Reach::Machine);
        bounds.admit("registry.example:5000", Reach::Network).expect("named again");
        bounds.check("registry.example:5000", &loopback).expect("still the caller's");
        bounds.admit("cdn.example", Reach::Network).expect("a name");
        bounds.check("cdn.example", &loopback).expect_err("resolved to this machine");
        bounds.check("unknown.example", &loopback).expect_err("nobody admitted it");
        bounds.admit("[::ffff:169.254.169.254]:80", Reach::Machine).expect_err("written out");
        Bounds::new(true).check("proxy.example", &loopback).expect("the proxy is the caller's");
    }

    #[test]
    fn authorities_without_ports() {
        for (authority, host) in [("a", "a"), ("a:1", "a"), ("[::1]", "::1"), ("[::1]:5", "::1")] {
            assert_eq!(bare(authority), host);
        }
    }
}
