//! An address with its prefix length, and the messages that set it on an interface.

use crate::kernel::{IFA_ADDRESS, IFA_BROADCAST, IFA_F_NODAD, IFA_LOCAL};
use crate::message::Message;
use crate::socket::Request;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// An address and the length of its network's prefix ("10.88.0.1/16").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address, host bits included.
    pub address: IpAddr,
    /// Bits of the network part.
    pub prefix: u8,
}

impl Cidr {
    /// The address with host bits cleared.
    pub fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix));
                Ipv4Addr::from_bits(v4.to_bits() & mask.unwrap_or(0)).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix));
                std::net::Ipv6Addr::from_bits(v6.to_bits() & mask.unwrap_or(0)).into()
            }
        }
    }

    fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(v4) if self.prefix < 31 => {
                let host = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                Some(Ipv4Addr::from_bits(v4.to_bits() | host))
            }
            _ => None,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not an address with a prefix length: {text:?}");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The address in network byte order, 4 or 16 bytes.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// AF_INET or AF_INET6.
pub(crate) fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    family as u8
}

/// Puts an address on an interface; one that is there already is fine. No duplicate address
/// detection for IPv6: the allocation says that it is unique, and waiting a second would be seen.
pub(crate) fn add_address(index: u32, name: &str, cidr: &Cidr) -> Request {
    let flags = if cidr.address.is_ipv6() { IFA_F_NODAD } else { 0 };
    let mut body = vec![family(cidr.address), cidr.prefix, flags, libc::RT_SCOPE_UNIVERSE];
    body.extend(index.to_ne_bytes());
    let bytes = octets(cidr.address);
    let mut message = Message::new(libc::RTM_NEWADDR, libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL, &body)
        .attr(IFA_LOCAL, &bytes)
        .attr(IFA_ADDRESS, &bytes);
    if let Some(broadcast) = cidr.broadcast() {
        message = message.attr(IFA_BROADCAST, &broadcast.octets());
    }
    Request::new("add an address", "RTM_NEWADDR", format!("{cidr} to {name}"), message).tolerating(&[libc::EEXIST])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_refuses() {
        let cidr: Cidr = "10.88.3.4/16".parse().expect("valid");
        assert_eq!(cidr.to_string(), "10.88.3.4/16");
        assert_eq!(cidr.network().to_string(), "10.88.0.0");
        assert_eq!(cidr.broadcast().expect("has one").to_string(), "10.88.255.255");
        let six: Cidr = "fd00::5/64".parse().expect("valid");
        assert_eq!(six.network().to_string(), "fd00::");
        assert_eq!(six.broadcast(), None);
        let all: Cidr = "0.0.0.0/0".parse().expect("valid");
        assert_eq!(all.network().to_string(), "0.0.0.0");
        for wrong in ["10.0.0.1", "10.0.0.1/33", "fd00::/129", "x/8", "10.0.0.1/", ""] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }
}
