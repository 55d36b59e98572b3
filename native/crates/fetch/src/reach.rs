//! Where a server may lead a download: the caller may name any address, a redirect may not lead to this machine
//! or to the metadata service of its cloud. The same rules as for documents (`registry/reach.ts`).

use podwright_sys::own_addresses::own_addresses;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// How far a host may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reach {
    /// The caller named it.
    Any,
    /// A server of this machine named it: it may be on this machine too.
    Machine,
    /// Another server named it.
    Network,
}

impl Reach {
    /// Whether an address may be connected to.
    pub(crate) fn has(self, address: IpAddr, own: &Own) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Any => true,
            Self::Machine => !is_forbidden(address),
            Self::Network => !is_forbidden(address) && !own.has(address),
        }
    }
}

/// The addresses of this machine, looked up when a redirect asks for them: most downloads have none.
#[derive(Debug)]
pub(crate) struct Own(fn() -> Option<Vec<IpAddr>>);

impl Own {
    /// Those of the interfaces as they are then.
    pub(crate) fn of_interfaces() -> Self {
        Self(|| own_addresses().ok())
    }

    /// Whether an address, in canonical form, leads to this machine. One that cannot be told does.
    fn has(&self, address: IpAddr) -> bool {
        let loopback = match address {
            IpAddr::V4(v4) => v4.is_loopback() || v4.octets()[0] == 0,
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified(),
        };
        loopback || (self.0)().is_none_or(|own| own.iter().any(|one| one.to_canonical() == address))
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
    own: Own,
    hosts: Mutex<HashMap<String, Host>>,
}

#[derive(Debug)]
struct Host {
    reach: Reach,
    /// Whether it was found on this machine.
    here: bool,
}

impl Bounds {
    /// Knows no host yet.
    pub(crate) fn new(proxied: bool) -> Self {
        Self { proxied, own: Own::of_interfaces(), hosts: Mutex::default() }
    }

    /// Lets a host be asked. What the caller named stays so, whoever names it later.
    pub(crate) fn admit(&self, authority: &str, reach: Reach) -> Result<(), OutOfReach> {
        let literal = bare(authority).parse::<IpAddr>().ok();
        if literal.is_some_and(|address| !reach.has(address, &self.own)) {
            return Err(OutOfReach);
        }
        let here = literal.is_some_and(|address| self.own.has(address.to_canonical()));
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(authority.to_owned()).or_insert(Host { reach, here });
        if host.reach != Reach::Any {
            host.reach = reach;
        }
        Ok(())
    }

    /// Which of the addresses that a host's name was resolved to may be connected to, none being an error: a name may
    /// have the addresses of all nodes, and this one's among them.
    pub(crate) fn within(&self, authority: &str, addresses: &[IpAddr]) -> Result<Vec<bool>, OutOfReach> {
        if self.proxied {
            return Ok(vec![true; addresses.len()]);
        }
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(authority.to_owned()).or_insert(Host { reach: Reach::Network, here: false });
        let within: Vec<bool> = addresses.iter().map(|address| host.reach.has(*address, &self.own)).collect();
        let mut used = addresses.iter().zip(&within).filter(|(_, within)| **within).peekable();
        if used.peek().is_none() {
            return Err(OutOfReach);
        }
        host.here = used.all(|(address, _)| self.own.has(address.to_canonical()));
        Ok(within)
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
        let interfaces = Own(|| Some(vec!["10.1.2.3".parse().expect("address"), "fd00::9".parse().expect("address")]));
        let has = |text: &str| {
            let address: IpAddr = text.parse().expect("address");
            [Reach::Any, Reach::Machine, Reach::Network].map(|reach| reach.has(address, &interfaces))
        };
        for own in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "fd00::9",
        ] {
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
        assert!(Own(|| None).has("10.0.0.1".parse().expect("address")), "what cannot be told is ours");
    }

    #[test]
    fn hosts_keep_who_named_them() {
        let bounds = Bounds::new(false);
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        bounds.admit("registry.example:5000", Reach::Any).expect("named by the caller");
        bounds.within("registry.example:5000", &loopback).expect("wherever it is");
        assert_eq!(bounds.led_by("registry.example:5000"), Reach::Machine);
        bounds.admit("registry.example:5000", Reach::Network).expect("named again");
        bounds.within("registry.example:5000", &loopback).expect("still the caller's");
        bounds.admit("cdn.example", Reach::Network).expect("a name");
        bounds.within("cdn.example", &loopback).expect_err("resolved to this machine");
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))];
        assert_eq!(bounds.within("cdn.example", &both).expect("one is elsewhere"), [false, true]);
        assert_eq!(bounds.led_by("cdn.example"), Reach::Network);
        bounds.within("unknown.example", &loopback).expect_err("nobody admitted it");
        bounds.admit("[::ffff:169.254.169.254]:80", Reach::Machine).expect_err("written out");
        Bounds::new(true).within("proxy.example", &loopback).expect("the proxy is the caller's");
    }

    #[test]
    fn authorities_without_ports() {
        for (authority, host) in [("a", "a"), ("a:1", "a"), ("[::1]", "::1"), ("[::1]:5", "::1")] {
            assert_eq!(bare(authority), host);
        }
    }
}
