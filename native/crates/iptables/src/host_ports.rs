//! Published ports of a pod as rules.

use crate::error::IptablesResult;
use crate::names::{Chains, Family, Subnet, tag};
use std::net::IpAddr;

/// Protocols that have ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// One port of the host that leads to a port of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Protocol.
    pub protocol: Protocol,
    /// Only on this address of the host, of the pod address's family; `None`: on all of them.
    pub host_ip: Option<IpAddr>,
    /// Port of the host.
    pub host_port: u16,
    /// Address of the pod.
    pub pod_ip: IpAddr,
    /// Port of the pod.
    pub container_port: u16,
    /// Where connections need our address as their source, because the pod would answer them past
    /// us: the pod's own subnet. `None` leaves sources alone.
    pub masquerade_from: Option<Subnet>,
}

impl HostPort {
    /// Its family.
    pub(crate) fn family(&self) -> Family {
        Family::of(self.pod_ip)
    }

    /// Its rules, without the leading "-A": the redirection, and the hairpin's masquerade.
    pub(crate) fn rules(&self, chains: &Chains, id: &str) -> IptablesResult<Vec<String>> {
        let tag = tag(id)?;
        let protocol = self.protocol.name();
        let to = match self.pod_ip {
            IpAddr::V4(ip) => format!("{ip}:{}", self.container_port),
            IpAddr::V6(ip) => format!("[{ip}]:{}", self.container_port),
        };
        let only = self.host_ip.map_or_else(String::new, |ip| format!(" -d {ip}"));
        let mut rules = vec![format!(
            "{}{only} -p {protocol} -m {protocol} --dport {} -m comment --comment \"{tag}\" -j DNAT --to-destination {to}",
            chains.host_ports(),
            self.host_port
        )];
        if let Some(subnet) = self.masquerade_from {
            rules.push(format!(
                "{} -s {subnet} -d {} -p {protocol} -m {protocol} --dport {} -m conntrack --ctstate DNAT --ctorigdstport {} -m comment --comment \"{tag}\" -j MASQUERADE",
                chains.hairpin(), self.pod_ip, self.container_port, self.host_port
            ));
        }
        Ok(rules)
    }
}
