//! Forgetting UDP flows to a published port. A UDP flow has no end the kernel could see: without
//! this, a client that keeps sending is led to a pod that is gone, or past one that is new, for as
//! long as it sends (kubernetes#95258, containernetworking/plugins#123).

use crate::error::NetlinkResult;
use crate::kernel::{
    CTA_ID, CTA_IP_V4_DST, CTA_IP_V6_DST, CTA_PROTO_DST_PORT, CTA_PROTO_NUM, CTA_TUPLE_IP, CTA_TUPLE_ORIG,
    CTA_TUPLE_PROTO, CTA_ZONE, IFA_ADDRESS, IFA_LOCAL, IPCTNL_MSG_CT_DELETE, IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_NEW,
};
use crate::message::{Message, attribute};
use crate::socket::{Reply, Request, Socket};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NFGEN_LEN: usize = 4;
const IFADDR_LEN: usize = 8;

/// A UDP port of the host that leads, or led, to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedPort {
    /// Only on this address of the host; `None`: on all.
    pub host_ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl PublishedPort {
    fn takes(&self, flow: &Flow<'_>) -> bool {
        self.port == flow.port && self.host_ip.is_none_or(|ip| ip == flow.destination)
    }
}

/// Deletes the conntrack entries of UDP flows that were sent to these ports of this host, in the
/// namespace of the calling thread: how many.
pub fn forget_udp_flows(ports: &[PublishedPort]) -> NetlinkResult<usize> {
    if ports.is_empty() {
        return Ok(0);
    }
    let local = local_addresses()?;
    let mut socket = Socket::netfilter()?;
    let message = Message::new(message_type(IPCTNL_MSG_CT_GET), libc::NLM_F_DUMP, &[0; NFGEN_LEN]);
    let request = Request::new("list flows", "IPCTNL_MSG_CT_GET", "", message);
    let replies = socket.dump(request)?;
    let stale: Vec<Request> = replies
        .iter()
        .filter_map(read_flow)
        .filter(|flow| local.contains(&flow.destination))
        .filter(|flow| ports.iter().any(|port| port.takes(flow)))
        .map(|flow| forget(&flow))
        .collect();
    let found = stale.len();
    for request in stale {
        socket.run_one(request)?;
    }
    Ok(found)
}

/// A UDP flow as its first packet was addressed.
struct Flow<'a> {
    family: u8,
    destination: IpAddr,
    port: u16,
    /// The attributes that name the entry to the kernel.
    tuple: &'a [u8],
    id: Option<&'a [u8]>,
    zone: Option<&'a [u8]>,
}

fn message_type(kind: u16) -> u16 {
    ((libc::NFNL_SUBSYS_CTNETLINK as u16) << 8) | kind
}

fn read_flow(reply: &Reply) -> Option<Flow<'_>> {
    if reply.kind != message_type(IPCTNL_MSG_CT_NEW) {
        return None;
    }
    let attrs = reply.payload.get(NFGEN_LEN..)?;
    let tuple = attribute(attrs, CTA_TUPLE_ORIG)?;
    let protocol = attribute(tuple, CTA_TUPLE_PROTO)?;
    if attribute(protocol, CTA_PROTO_NUM)? != [libc::IPPROTO_UDP as u8] {
        return None;
    }
    let port = attribute(protocol, CTA_PROTO_DST_PORT)?;
    let ip = attribute(tuple, CTA_TUPLE_IP)?;
    let destination = attribute(ip, CTA_IP_V4_DST).or_else(|| attribute(ip, CTA_IP_V6_DST))?;
    Some(Flow {
        family: *reply.payload.first()?,
        destination: address(destination)?,
        port: u16::from_be_bytes(port.try_into().ok()?),
        tuple,
        id: attribute(attrs, CTA_ID),
        zone: attribute(attrs, CTA_ZONE),
    })
}

fn forget(flow: &Flow<'_>) -> Request {
    let body = [flow.family, 0, 0, 0];
    let mut message = Message::new(message_type(IPCTNL_MSG_CT_DELETE), libc::NLM_F_ACK, &body)
        .nest_marked(CTA_TUPLE_ORIG, |m| m.raw(flow.tuple));
    if let Some(id) = flow.id {
        message = message.attr(CTA_ID, id);
    }
    if let Some(zone) = flow.zone {
        message = message.attr(CTA_ZONE, zone);
    }
    let object = format!("udp to {}:{}", flow.destination, flow.port);
    Request::new("forget a flow", "IPCTNL_MSG_CT_DELETE", object, message).tolerating(&[libc::ENOENT])
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(v6).into())
}

fn local_addresses() -> NetlinkResult<HashSet<IpAddr>> {
    let message = Message::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; IFADDR_LEN]);
    let request = Request::new("list addresses", "RTM_GETADDR", "", message);
    let replies = Socket::route()?.dump(request)?;
    let mut found: HashSet<IpAddr> = replies.iter().filter_map(local_address).collect();
    found.insert(Ipv4Addr::LOCALHOST.into());
    Ok(found)
}

fn local_address(reply: &Reply) -> Option<IpAddr> {
    let attrs = reply.payload.get(IFADDR_LEN..)?;
    address(attribute(attrs, IFA_LOCAL).or_else(|| attribute(attrs, IFA_ADDRESS))?)
}

/// Reads a reply as everything that it could be; what is made of it in turn.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzzed(reply: &Reply) -> Option<Message> {
    let _ = local_address(reply);
    read_flow(reply).map(|flow| forget(&flow).message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::CTA_IP_V4_SRC;

    fn reply(protocol: u8) -> Reply {
        let bytes = Message::new(message_type(IPCTNL_MSG_CT_NEW), 0, &[2, 0, 0, 0])
            .nest_marked(CTA_TUPLE_ORIG, |m| {
                m.nest_marked(CTA_TUPLE_IP, |m| {
                    m.attr(CTA_IP_V4_SRC, &[10, 0, 0, 9]).attr(CTA_IP_V4_DST, &[192, 0, 2, 2])
                })
                .nest_marked(CTA_TUPLE_PROTO, |m| {
                    m.attr(CTA_PROTO_NUM, &[protocol]).attr(CTA_PROTO_DST_PORT, &5353u16.to_be_bytes())
                })
            })
            .attr(CTA_ID, &[1, 2, 3, 4])
            .finish(1);
        Reply { kind: message_type(IPCTNL_MSG_CT_NEW), payload: bytes[16..].to_vec() }
    }

    #[test]
    fn tells_flows_apart() {
        let udp = reply(17);
        let flow = read_flow(&udp).expect("a UDP flow");
        assert_eq!((flow.port, flow.family), (5353, 2));
        assert_eq!(flow.id, Some(&[1u8, 2, 3, 4][..]));
        let port = |host_ip, port| PublishedPort { host_ip, port };
        assert!(port(None, 5353).takes(&flow));
        assert!(port(Some(Ipv4Addr::new(192, 0, 2, 2).into()), 5353).takes(&flow));
        assert!(!port(Some(Ipv4Addr::LOCALHOST.into()), 5353).takes(&flow));
        assert!(!port(None, 53).takes(&flow));
        assert!(read_flow(&reply(6)).is_none());
        let mut short = reply(17);
        short.payload.truncate(9);
        assert!(read_flow(&short).is_none());
    }
}
