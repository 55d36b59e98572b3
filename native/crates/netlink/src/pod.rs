//! A pod's connection: a veth pair made from inside the pod's namespace with its peer put straight
//! into the host's (moving an interface afterwards costs 14 ms and more of synchronize_net).

use crate::address::{Cidr, add_address};
use crate::error::{NetlinkError, NetlinkResult};
use crate::kernel::{
    IFLA_ADDRESS, IFLA_BRPORT_MODE, IFLA_IFALIAS, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO,
    IFLA_MASTER, IFLA_MTU, IFLA_NET_NS_FD, IFLA_PROTINFO, VETH_INFO_PEER,
};
use crate::link::{Link, delete, find, get_link, ifinfo, read_link, set_up};
use crate::message::Message;
use crate::netns::{current, enter, throwaway};
use crate::route::{Route, add_route};
use crate::socket::{Answer, Request, Socket};
use crate::sysctl;
use podwright_sys::errno::SysError;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The number of the loopback interface in every network namespace.
const LOOPBACK: u32 = 1;

/// A pod's connection as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodAttachment {
    /// The pod's pinned network namespace.
    pub netns: PathBuf,
    /// Name of the end in the host: at most 15 bytes.
    pub host_interface: String,
    /// Name of the end in the pod.
    pub pod_interface: String,
    /// The bridge that the host's end becomes a port of.
    pub bridge: String,
    /// Written on the host's end: whose it is.
    pub alias: String,
    /// Bytes; both ends.
    pub mtu: u32,
    /// Hardware address of the pod's end; `None` lets the kernel draw one.
    pub mac: Option<[u8; 6]>,
    /// The pod's addresses.
    pub addresses: Vec<Cidr>,
    /// The pod's routes beside those of its addresses.
    pub routes: Vec<Route>,
    /// Whether the port sends a frame back to where it came from.
    pub hairpin: bool,
}

/// A pod's connection as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Hardware address of the pod's end.
    pub mac: Vec<u8>,
    /// False when the pair was there already and was only brought to what is wanted.
    pub created: bool,
}

/// Makes the connection, or repairs the one this pod has. Loopback is brought up as well.
pub fn attach(wanted: &PodAttachment) -> NetlinkResult<Attached> {
    throwaway(|| attach_on_this_thread(wanted))
}

/// Brings up the loopback interface of a namespace.
pub fn loopback_up(netns: &Path) -> NetlinkResult<()> {
    throwaway(|| {
        enter(netns)?;
        Socket::route()?.run_one(set_up(LOOPBACK, "lo"))?;
        Ok(())
    })
}

/// `attach` for a caller that made a thread for this: it stays in the pod's namespace and must end.
pub fn attach_on_this_thread(wanted: &PodAttachment) -> NetlinkResult<Attached> {
    let mut host = Socket::route()?;
    let host_netns = current()?;
    enter(&wanted.netns)?;
    let mut pod = Socket::route()?;
    let bridge = bridge_index(&mut host, wanted)?;
    let (created, inner) = pair(wanted, &mut host, &mut pod, host_netns.as_raw_fd())?;
    let outer = inner.peer.ok_or_else(|| NetlinkError::Malformed {
        operation: "create the veth pair",
        object: wanted.host_interface.clone(),
        reason: "the pod's end names no peer",
    })?;
    if wanted.addresses.iter().any(|cidr| cidr.address.is_ipv6()) {
        let key = format!("net/ipv6/conf/{}/disable_ipv6", wanted.pod_interface);
        sysctl::set(&key, "0")?;
        // nor for its link-local address: nobody waits a second for what the allocation says
        sysctl::set(&format!("net/ipv6/conf/{}/accept_dad", wanted.pod_interface), "0")?;
    }
    host.run(host_side(wanted, outer, bridge))?;
    pod.run(pod_side(wanted, inner.index))?;
    Ok(Attached { mac: inner.mac, created })
}

fn bridge_index(host: &mut Socket, wanted: &PodAttachment) -> NetlinkResult<u32> {
    match find(host, &wanted.bridge)? {
        Some(link) => Ok(link.index),
        None => Err(SysError::new("look up the bridge", "RTM_GETLINK", libc::ENODEV, &wanted.bridge).into()),
    }
}

/// The pod's end of the pair: made, or found when an earlier try made it.
fn pair(wanted: &PodAttachment, host: &mut Socket, pod: &mut Socket, host_netns: i32) -> NetlinkResult<(bool, Link)> {
    let (created, inner) = make_pair(wanted, pod, host_netns)?;
    if created {
        let inner = inner.ok_or_else(|| gone(wanted))?;
        return Ok((true, inner));
    }
    let outer = find(host, &wanted.host_interface)?;
    match (inner, outer) {
        (Some(inner), Some(outer)) if is_pair(&inner, &outer) => Ok((false, inner)),
        // the host's end leads into another namespace: one that is dead, for names belong to ids
        (None, Some(_)) => {
            host.run_one(delete(&wanted.host_interface))?;
            match make_pair(wanted, pod, host_netns)? {
                (true, Some(inner)) => Ok((true, inner)),
                _ => Err(gone(wanted)),
            }
        }
        (Some(inner), _) => Err(NetlinkError::NameTaken {
            operation: "create the veth pair",
            name: wanted.pod_interface.clone(),
            found: format!("another {} in the pod", inner.kind),
        }),
        (None, None) => Err(gone(wanted)),
    }
}

fn gone(wanted: &PodAttachment) -> NetlinkError {
    SysError::new("create the veth pair", "RTM_GETLINK", libc::ENODEV, &wanted.host_interface).into()
}

fn is_pair(inner: &Link, outer: &Link) -> bool {
    inner.kind == "veth" && outer.kind == "veth" && inner.peer == Some(outer.index)
}

fn make_pair(wanted: &PodAttachment, pod: &mut Socket, host_netns: i32) -> NetlinkResult<(bool, Option<Link>)> {
    let answers =
        pod.run(vec![create_pair(wanted, host_netns), get_link(&wanted.pod_interface), set_up(LOOPBACK, "lo")])?;
    let created = answers.first().is_some_and(was_made);
    let inner = answers.get(1).and_then(|answer| answer.replies.iter().find_map(read_link));
    Ok((created, inner))
}

fn was_made(answer: &Answer) -> bool {
    answer.tolerated.is_none()
}

fn create_pair(wanted: &PodAttachment, host_netns: i32) -> Request {
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut message = Message::new(libc::RTM_NEWLINK, flags, &ifinfo(0, 0, 0))
        .attr_str(IFLA_IFNAME, &wanted.pod_interface)
        .attr_u32(IFLA_MTU, wanted.mtu);
    if let Some(mac) = &wanted.mac {
        message = message.attr(IFLA_ADDRESS, mac);
    }
    // the peer must not ask to be up: it has no carrier yet, and the kernel answers ENOTCONN
    let message = message.nest(IFLA_LINKINFO, |m| {
        m.attr_str(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |m| {
            m.nest(VETH_INFO_PEER, |m| {
                m.raw(&ifinfo(0, 0, 0))
                    .attr_str(IFLA_IFNAME, &wanted.host_interface)
                    .attr_u32(IFLA_MTU, wanted.mtu)
                    .attr_u32(IFLA_NET_NS_FD, host_netns as u32)
            })
        })
    });
    let object = format!("{} in {}", wanted.host_interface, wanted.netns.display());
    Request::new("create the veth pair", "RTM_NEWLINK", object, message).tolerating(&[libc::EEXIST])
}

/// The host's end: port of the bridge, marked, up.
fn host_side(wanted: &PodAttachment, index: u32, bridge: u32) -> Vec<Request> {
    let up = libc::IFF_UP as u32;
    let name = &wanted.host_interface;
    let plug = Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &ifinfo(index, up, up))
        .attr_u32(IFLA_MASTER, bridge)
        .attr(IFLA_IFALIAS, wanted.alias.as_bytes());
    let mut body = ifinfo(index, 0, 0);
    body[0] = libc::AF_BRIDGE as u8;
    let mode = Message::new(libc::RTM_SETLINK, libc::NLM_F_ACK, &body)
        .nest_marked(IFLA_PROTINFO, |m| m.attr(IFLA_BRPORT_MODE, &[u8::from(wanted.hairpin)]));
    vec![
        Request::new("plug into the bridge", "RTM_NEWLINK", name, plug),
        Request::new("set the port's hairpin mode", "RTM_SETLINK", name, mode),
    ]
}

/// The pod's end: addresses, up, routes, in this order (a route needs its gateway reachable).
fn pod_side(wanted: &PodAttachment, index: u32) -> Vec<Request> {
    let name = &wanted.pod_interface;
    let mut requests: Vec<Request> = wanted.addresses.iter().map(|cidr| add_address(index, name, cidr)).collect();
    requests.push(set_up(index, name));
    requests.extend(wanted.routes.iter().map(|route| add_route(index, name, route)));
    requests
}
