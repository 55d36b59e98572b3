//! The bridge that the pods of a node are plugged into.

use crate::address::{Cidr, add_address};
use crate::error::{NetlinkError, NetlinkResult};
use crate::kernel::{IFLA_ADDRESS, IFLA_IFALIAS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MTU};
use crate::link::{Link, all, delete, find, ifinfo, set_up};
use crate::message::Message;
use crate::socket::{Request, Socket};
use crate::sysctl;
use podwright_sys::errno::SysError;

/// A bridge as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSetup {
    /// Name of the interface.
    pub bridge: String,
    /// Written on the bridge if it is made here (IFLA_IFALIAS): says who may delete it.
    pub alias: String,
    /// Bytes; `None` leaves the kernel's or the present one. A bridge of another owner keeps its own.
    pub mtu: Option<u32>,
    /// A fixed address: otherwise the bridge takes that of its lowest port and changes it as pods
    /// come and go, and every pod's neighbour entry for its gateway is wrong for a while.
    pub mac: Option<[u8; 6]>,
    /// Addresses of the bridge: the pods' gateways. None for a bridge that only switches.
    pub gateways: Vec<Cidr>,
    /// Whether the host routes between the bridge and the world (ip_forward).
    pub forwarding: bool,
}

/// Makes the bridge or brings the one that exists to what is wanted. Whether it was made here.
pub fn set_up_bridge(wanted: &BridgeSetup) -> NetlinkResult<bool> {
    let mut socket = Socket::route()?;
    let created = socket.run_one(create(wanted))?.tolerated.is_none();
    let bridge = checked(wanted, find(&mut socket, &wanted.bridge)?)?;
    if wanted.gateways.iter().any(|gateway| gateway.address.is_ipv6()) {
        let key = format!("net/ipv6/conf/{}/disable_ipv6", wanted.bridge);
        sysctl::set(&key, "0")?;
    }
    // a pod that says it is a router must not become the host's (CVE-2020-10749)
    sysctl::set_if_there(&format!("net/ipv6/conf/{}/accept_ra", wanted.bridge), "0")?;
    let mut requests = Vec::new();
    if created || bridge.alias == wanted.alias {
        requests.push(own(wanted, bridge.index));
    }
    for gateway in &wanted.gateways {
        requests.push(add_address(bridge.index, &wanted.bridge, gateway));
    }
    requests.push(set_up(bridge.index, &wanted.bridge));
    socket.run(requests)?;
    if wanted.forwarding {
        forward(wanted)?;
    }
    Ok(created)
}

/// Marks a bridge as ours and fixes its MTU. An MTU given at creation does not stick: a bridge follows
/// its ports unless somebody has set it afterwards (br_mtu_auto_adjust).
fn own(wanted: &BridgeSetup, index: u32) -> Request {
    let mut message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &ifinfo(index, 0, 0))
        .attr(IFLA_IFALIAS, wanted.alias.as_bytes());
    if let Some(mtu) = wanted.mtu {
        message = message.attr_u32(IFLA_MTU, mtu);
    }
    Request::new("mark the bridge", "RTM_NEWLINK", &wanted.bridge, message)
}

fn create(wanted: &BridgeSetup) -> Request {
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut message = Message::new(libc::RTM_NEWLINK, flags, &ifinfo(0, 0, 0))
        .attr_str(IFLA_IFNAME, &wanted.bridge)
        .nest(IFLA_LINKINFO, |m| m.attr_str(IFLA_INFO_KIND, "bridge"));
    if let Some(mac) = &wanted.mac {
        message = message.attr(IFLA_ADDRESS, mac);
    }
    Request::new("create the bridge", "RTM_NEWLINK", &wanted.bridge, message).tolerating(&[libc::EEXIST])
}

fn checked(wanted: &BridgeSetup, found: Option<Link>) -> NetlinkResult<Link> {
    match found {
        Some(link) if link.kind == "bridge" => Ok(link),
        Some(link) => Err(NetlinkError::NameTaken {
            operation: "create the bridge",
            name: wanted.bridge.clone(),
            found: if link.kind.is_empty() { "hardware".into() } else { format!("a {}", link.kind) },
        }),
        None => Err(SysError::new("create the bridge", "RTM_GETLINK", libc::ENODEV, &wanted.bridge).into()),
    }
}

fn forward(wanted: &BridgeSetup) -> NetlinkResult<()> {
    sysctl::set("net/ipv4/ip_forward", "1")?;
    if wanted.gateways.iter().any(|gateway| gateway.address.is_ipv6()) {
        sysctl::set("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// Lets connections from the host's 127.0.0.1 be redirected into the bridge. Whoever calls this must
/// also drop what pods send to 127.0.0.0/8 themselves (CVE-2020-8558).
pub fn set_up_route_localnet(bridge: &str) -> NetlinkResult<()> {
    sysctl::set(&format!("net/ipv4/conf/{bridge}/route_localnet"), "1")
}

/// Deletes a bridge that carries this alias and has no ports left. False when it was left alone or
/// gone already.
pub fn remove_bridge(bridge: &str, alias: &str) -> NetlinkResult<bool> {
    let mut socket = Socket::route()?;
    let Some(found) = find(&mut socket, bridge)? else {
        return Ok(false);
    };
    let ours = found.kind == "bridge" && found.alias == alias;
    let used = all(&mut socket)?.iter().any(|link| link.master == Some(found.index));
    if !ours || used {
        return Ok(false);
    }
    let answer = socket.run_one(delete(bridge))?;
    Ok(answer.tolerated.is_none())
}
