//! Routes, and the answer to "over which interface does this host reach the world?".

use crate::address::{Cidr, family, octets};
use crate::message::{Message, attribute, u32_at};
use crate::socket::{Request, Socket};
use crate::{NetlinkError, NetlinkResult};
use std::net::IpAddr;

/// A route to a network; without a gateway the destination is on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to: `0.0.0.0/0` and `::/0` are the default routes.
    pub destination: Cidr,
    /// The next hop.
    pub gateway: Option<IpAddr>,
}

/// Adds a route in the main table, or replaces the one to the same destination.
pub(crate) fn add_route(index: u32, name: &str, route: &Route) -> Request {
    let scope = if route.gateway.is_some() { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_LINK };
    let body = [
        family(route.destination.address),
        route.destination.prefix,
        0,
        0,
        libc::RT_TABLE_MAIN,
        libc::RTPROT_BOOT,
        scope,
        libc::RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let mut message =
        Message::new(libc::RTM_NEWROUTE, libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &body)
            .attr_u32(libc::RTA_OIF, index);
    if route.destination.prefix > 0 {
        message = message.attr(libc::RTA_DST, &octets(route.destination.network()));
    }
    let mut object = format!("{} by {name}", route.destination);
    if let Some(gateway) = route.gateway {
        message = message.attr(libc::RTA_GATEWAY, &octets(gateway));
        object = format!("{object} via {gateway}");
    }
    Request::new("add a route", "RTM_NEWROUTE", object, message)
}

/// The interface of the default route with the lowest metric, IPv4 before IPv6; none on an isolated
/// host.
pub(crate) fn default_route_interface(socket: &mut Socket) -> NetlinkResult<Option<u32>> {
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut body = [0u8; 12];
        body[0] = family as u8;
        let message = Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP, &body);
        let request = Request::new("list routes", "RTM_GETROUTE", "", message);
        let replies = match socket.dump(request) {
            Ok(replies) => replies,
            // a kernel without IPv6
            Err(NetlinkError::Kernel { source, .. }) if source.errno == libc::EOPNOTSUPP => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let best = replies.iter().filter_map(|reply| default_route(&reply.payload)).min();
        if let Some((_, index)) = best {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// (metric, interface) of a default route of the main table.
pub(crate) fn default_route(payload: &[u8]) -> Option<(u32, u32)> {
    let body = payload.get(..12)?;
    let attrs = &payload[12..];
    let is_default = body[1] == 0 && body[4] == libc::RT_TABLE_MAIN && body[7] == libc::RTN_UNICAST;
    if !is_default {
        return None;
    }
    let number = |kind| attribute(attrs, kind).and_then(|value| u32_at(value, 0));
    Some((number(libc::RTA_PRIORITY).unwrap_or(0), number(libc::RTA_OIF)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_default_routes_apart() {
        let message = |prefix: u8, table: u8, kind: u8| {
            let body = [2, prefix, 0, 0, table, 3, 0, kind, 0, 0, 0, 0];
            Message::new(24, 0, &body).attr_u32(libc::RTA_PRIORITY, 100).attr_u32(libc::RTA_OIF, 4).finish(1)
        };
        let parse = |bytes: Vec<u8>| default_route(&bytes[16..]);
        assert_eq!(parse(message(0, 254, 1)), Some((100, 4)));
        assert_eq!(parse(message(24, 254, 1)), None);
        assert_eq!(parse(message(0, 255, 1)), None);
        assert_eq!(parse(message(0, 254, 7)), None);
        assert_eq!(default_route(&[0; 5]), None);
    }
}
