//! Names of our chains and of whose a rule is; subnets. Everything that gets into rule text is
//! checked here, for a rule file is a command language.

use crate::error::{IptablesError, IptablesResult};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Longest chain name: XT_EXTENSION_MAXNAMELEN less its final zero.
const LONGEST_CHAIN: usize = 28;
const LONGEST_SUFFIX: usize = "-POSTROUTING".len();
/// A rule of a pod carries this comment with the sandbox's id behind it.
const TAG: &str = "podwright:";

/// What rules are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// iptables-restore and ip6tables-restore.
    Iptables,
    /// nft.
    Nftables,
}

/// The two worlds of iptables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// iptables.
    V4,
    /// ip6tables.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(crate) fn restore_program(self) -> &'static str {
        match self {
            Self::V4 => "iptables-restore",
            Self::V6 => "ip6tables-restore",
        }
    }

    pub(crate) fn save_program(self) -> &'static str {
        match self {
            Self::V4 => "iptables-save",
            Self::V6 => "ip6tables-save",
        }
    }

    pub(crate) fn loopback(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.0/8",
            Self::V6 => "::1/128",
        }
    }

    pub(crate) fn multicast(self) -> &'static str {
        match self {
            Self::V4 => "224.0.0.0/4",
            Self::V6 => "ff00::/8",
        }
    }
}

/// A network in CIDR form, host bits cleared by whoever gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The network's address.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

impl Subnet {
    /// Its family.
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}

impl FromStr for Subnet {
    type Err = IptablesError;

    fn from_str(text: &str) -> IptablesResult<Self> {
        let unusable = || IptablesError::Unusable { what: "subnet", value: text.to_owned() };
        let (address, prefix) = text.split_once('/').ok_or_else(unusable)?;
        let address: IpAddr = address.parse().map_err(|_| unusable())?;
        let prefix: u8 = prefix.parse().map_err(|_| unusable())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest {
            return Err(unusable());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The chains of one bridge: two daemons on one host have two bridges and two sets of chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chains {
    prefix: String,
}

impl Chains {
    /// Chains named `<prefix>-PREROUTING` and so on; at most 16 letters, digits, `-`, `_`, `.`.
    pub fn new(prefix: &str) -> IptablesResult<Self> {
        let fits = (1..=LONGEST_CHAIN - LONGEST_SUFFIX).contains(&prefix.len());
        if !fits || prefix.starts_with('-') || !prefix.bytes().all(is_plain) {
            return Err(IptablesError::Unusable { what: "chain prefix", value: prefix.to_owned() });
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    fn named(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.prefix)
    }

    pub(crate) fn prerouting(&self) -> String {
        self.named("PREROUTING")
    }

    pub(crate) fn output(&self) -> String {
        self.named("OUTPUT")
    }

    pub(crate) fn postrouting(&self) -> String {
        self.named("POSTROUTING")
    }

    pub(crate) fn host_ports(&self) -> String {
        self.named("HOSTPORTS")
    }

    pub(crate) fn hairpin(&self) -> String {
        self.named("HAIRPIN")
    }

    pub(crate) fn forward(&self) -> String {
        self.named("FORWARD")
    }

    pub(crate) fn input(&self) -> String {
        self.named("INPUT")
    }

    /// Our table of nftables, with its family.
    pub(crate) fn nft_table(&self) -> String {
        format!("inet {}", self.prefix)
    }

    /// Our chains in a table.
    pub(crate) fn of_table(&self, table: &str) -> Vec<String> {
        match table {
            "nat" => vec![self.prerouting(), self.output(), self.postrouting(), self.host_ports(), self.hairpin()],
            "filter" => vec![self.forward(), self.input()],
            _ => Vec::new(),
        }
    }
}

/// Whether a byte may stand in a name without quoting.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// An interface name that is safe in a rule (a final `+` would be a wildcard).
pub(crate) fn checked_interface(name: &str) -> IptablesResult<&str> {
    if (1..=15).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(name);
    }
    Err(IptablesError::Unusable { what: "interface", value: name.to_owned() })
}

/// The comment that says whose a rule is.
pub(crate) fn tag(id: &str) -> IptablesResult<String> {
    if (1..=64).contains(&id.len()) && id.bytes().all(is_plain) {
        return Ok(format!("{TAG}{id}"));
    }
    Err(IptablesError::Unusable { what: "sandbox id", value: id.to_owned() })
}

/// Whose a line of iptables-save is, by its comment.
pub(crate) fn owner(line: &str) -> Option<&str> {
    let start = line.find(TAG)? + TAG.len();
    let rest = line.get(start..)?;
    let end = rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(Chains::new("PODWRIGHT").expect("fits").postrouting(), "PODWRIGHT-POSTROUTING");
        assert!(Chains::new("PW-abcdefghijklm").is_ok());
        for wrong in ["", "PW-abcdefghijklmn", "A B", "A\nB", "-A", "A\"B"] {
            assert!(Chains::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(checked_interface("podwright0").is_ok());
        for wrong in ["", "pw+", "a b", "0123456789abcdef"] {
            assert!(checked_interface(wrong).is_err(), "{wrong:?}");
        }
        assert!(tag("x y").is_err());
    }

    #[test]
    fn owners_are_read_back() {
        let line = r#"-A PODWRIGHT-HOSTPORTS -p tcp -m comment --comment "podwright:0af3" -j DNAT"#;
        assert_eq!(owner(line), Some("0af3"));
        let bare = "-A X -m comment --comment podwright:77 -j DNAT";
        assert_eq!(owner(bare), Some("77"));
        assert_eq!(owner("-A X -j ACCEPT"), None);
    }

    #[test]
    fn subnets_are_parsed() {
        let subnet: Subnet = "10.88.0.0/16".parse().expect("valid");
        assert_eq!(subnet.to_string(), "10.88.0.0/16");
        assert_eq!(subnet.family(), Family::V4);
        for wrong in ["10.0.0.0", "10.0.0.0/40", "x/1", "10.0.0.0/8 -j DROP"] {
            assert!(wrong.parse::<Subnet>().is_err());
        }
    }
}
