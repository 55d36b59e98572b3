//! Interfaces: finding, listing, deleting; what the kernel says about one.

use crate::error::NetlinkResult;
use crate::kernel::{
    IFLA_ADDRESS, IFLA_IFALIAS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU,
    IFLA_STATS64,
};
use crate::message::{Message, attribute, text, u32_at, u64_at};
use crate::route::default_route_interface;
use crate::socket::{Reply, Request, Socket};

/// Bytes of `struct ifinfomsg`.
pub(crate) const IFINFO_LEN: usize = 16;

/// Traffic of an interface since it was made (struct rtnl_link_stats64).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received damaged.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets dropped on arrival.
    pub rx_dropped: u64,
    /// Packets dropped before sending.
    pub tx_dropped: u64,
}

impl Counters {
    /// The same traffic as the other end of the pair sees it.
    pub fn from_the_other_end(self) -> Self {
        Self {
            rx_packets: self.tx_packets,
            tx_packets: self.rx_packets,
            rx_bytes: self.tx_bytes,
            tx_bytes: self.rx_bytes,
            rx_errors: self.tx_errors,
            tx_errors: self.rx_errors,
            rx_dropped: self.tx_dropped,
            tx_dropped: self.rx_dropped,
        }
    }
}

/// What the kernel says about an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Number within its network namespace.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// The bridge it is a port of.
    pub master: Option<u32>,
    /// The other end of a veth pair: its number in the other namespace.
    pub peer: Option<u32>,
    /// Free text of its owner (ip link set alias).
    pub alias: String,
    /// "bridge", "veth", …; empty for hardware.
    pub kind: String,
    /// Hardware address.
    pub mac: Vec<u8>,
    /// Traffic.
    pub counters: Counters,
}

/// `struct ifinfomsg` for an interface number (0: the message names it otherwise).
pub(crate) fn ifinfo(index: u32, flags: u32, mask: u32) -> [u8; IFINFO_LEN] {
    let mut body = [0u8; IFINFO_LEN];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&mask.to_ne_bytes());
    body
}

/// Reads an RTM_NEWLINK; `None` for anything else or a damaged one.
pub(crate) fn read_link(reply: &Reply) -> Option<Link> {
    if reply.kind != libc::RTM_NEWLINK {
        return None;
    }
    let index = u32_at(&reply.payload, 4)?;
    let flags = u32_at(&reply.payload, 8)?;
    let attrs = reply.payload.get(IFINFO_LEN..)?;
    let number = |kind| attribute(attrs, kind).and_then(|value| u32_at(value, 0));
    let string = |kind| attribute(attrs, kind).map(text).unwrap_or_default();
    Some(Link {
        index,
        name: string(IFLA_IFNAME),
        up: flags & libc::IFF_UP as u32 != 0,
        mtu: number(IFLA_MTU).unwrap_or(0),
        master: number(IFLA_MASTER),
        peer: number(IFLA_LINK),
        alias: string(IFLA_IFALIAS),
        kind: attribute(attrs, IFLA_LINKINFO)
            .and_then(|info| attribute(info, IFLA_INFO_KIND))
            .map(text)
            .unwrap_or_default(),
        mac: attribute(attrs, IFLA_ADDRESS).unwrap_or_default().to_vec(),
        counters: attribute(attrs, IFLA_STATS64).and_then(read_counters).unwrap_or_default(),
    })
}

/// Reads a `struct rtnl_link_stats64`.
pub(crate) fn read_counters(value: &[u8]) -> Option<Counters> {
    let field = |position: usize| u64_at(value, position * 8);
    Some(Counters {
        rx_packets: field(0)?,
        tx_packets: field(1)?,
        rx_bytes: field(2)?,
        tx_bytes: field(3)?,
        rx_errors: field(4)?,
        tx_errors: field(5)?,
        rx_dropped: field(6)?,
        tx_dropped: field(7)?,
    })
}

/// Asks for one interface by name; an absent one is no failure.
pub(crate) fn get_link(name: &str) -> Request {
    let message = Message::new(libc::RTM_GETLINK, libc::NLM_F_ACK, &ifinfo(0, 0, 0)).attr_str(IFLA_IFNAME, name);
    Request::new("look up an interface", "RTM_GETLINK", name, message).tolerating(&[libc::ENODEV])
}

/// The interface of this name, if any.
pub(crate) fn find(socket: &mut Socket, name: &str) -> NetlinkResult<Option<Link>> {
    let answer = socket.run_one(get_link(name))?;
    Ok(answer.replies.iter().find_map(read_link))
}

/// All interfaces of the socket's namespace, with their counters.
pub(crate) fn all(socket: &mut Socket) -> NetlinkResult<Vec<Link>> {
    let message = Message::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &ifinfo(0, 0, 0));
    let request = Request::new("list interfaces", "RTM_GETLINK", "", message);
    let replies = socket.dump(request)?;
    Ok(replies.iter().filter_map(read_link).collect())
}

/// Removes an interface by name; one that is gone is fine.
pub(crate) fn delete(name: &str) -> Request {
    let message = Message::new(libc::RTM_DELLINK, libc::NLM_F_ACK, &ifinfo(0, 0, 0)).attr_str(IFLA_IFNAME, name);
    Request::new("delete an interface", "RTM_DELLINK", name, message).tolerating(&[libc::ENODEV])
}

/// Brings an interface up.
pub(crate) fn set_up(index: u32, name: &str) -> Request {
    let up = libc::IFF_UP as u32;
    let message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &ifinfo(index, up, up));
    Request::new("bring an interface up", "RTM_NEWLINK", name, message)
}

/// The interface of this name in the namespace of the calling thread.
pub fn find_link(name: &str) -> NetlinkResult<Option<Link>> {
    find(&mut Socket::route()?, name)
}

/// The interfaces whose name begins with `prefix`, in the namespace of the calling thread.
pub fn list_links(prefix: &str) -> NetlinkResult<Vec<Link>> {
    let mut links = all(&mut Socket::route()?)?;
    links.retain(|link| link.name.starts_with(prefix));
    Ok(links)
}

/// Deletes an interface; false when there was none. Deleting one end of a veth pair deletes both.
pub fn delete_link(name: &str) -> NetlinkResult<bool> {
    let answer = Socket::route()?.run_one(delete(name))?;
    Ok(answer.tolerated.is_none())
}

/// The MTU of the interface that carries the default route; none on an isolated host.
pub fn default_route_mtu() -> NetlinkResult<Option<u32>> {
    let mut socket = Socket::route()?;
    let Some(index) = default_route_interface(&mut socket)? else {
        return Ok(None);
    };
    let links = all(&mut socket)?;
    let link = links.into_iter().find(|link| link.index == index);
    Ok(link.map(|link| link.mtu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_link_and_refuses_the_rest() {
        let stats: Vec<u8> = (1u64..=24).flat_map(u64::to_ne_bytes).collect();
        let bytes = Message::new(libc::RTM_NEWLINK, 0, &ifinfo(9, 1, 0))
            .attr_str(IFLA_IFNAME, "pw0123456789abc")
            .attr_u32(IFLA_MASTER, 3)
            .attr_u32(IFLA_LINK, 2)
            .attr(IFLA_STATS64, &stats)
            .nest(IFLA_LINKINFO, |m| m.attr_str(IFLA_INFO_KIND, "veth"))
            .finish(1);
        let reply = |kind, payload: &[u8]| Reply { kind, payload: payload.to_vec() };
        let link = read_link(&reply(libc::RTM_NEWLINK, &bytes[16..])).expect("a link");
        assert_eq!((link.index, link.up), (9, true));
        assert_eq!(link.name, "pw0123456789abc");
        assert_eq!((link.master, link.peer), (Some(3), Some(2)));
        assert_eq!(link.kind, "veth");
        assert_eq!((link.counters.rx_packets, link.counters.tx_dropped), (1, 8));
        let seen = link.counters.from_the_other_end();
        assert_eq!((seen.rx_bytes, seen.tx_bytes), (4, 3));
        assert!(read_link(&reply(libc::RTM_NEWADDR, &bytes[16..])).is_none());
        assert!(read_link(&reply(libc::RTM_NEWLINK, &[0; 7])).is_none());
    }

    #[test]
    fn loopback_is_found_in_any_namespace() {
        let link = find_link("lo").expect("netlink works").expect("lo exists");
        assert_eq!(link.index, 1);
        assert!(find_link("pwnone").expect("netlink works").is_none());
        assert!(!list_links("lo").expect("netlink works").is_empty());
        default_route_mtu().expect("netlink works");
    }
}
