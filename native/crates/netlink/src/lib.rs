//! Pod networking over rtnetlink: bridges, veth pairs, addresses, routes, counters, and the
//! conntrack entries of published ports. Carries out one request given in full; must not choose
//! names, addresses or defaults.

mod address;
mod bridge;
mod conntrack;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzzed;
mod kernel;
mod link;
mod message;
mod netns;
mod pod;
mod route;
mod socket;
mod sysctl;
mod traffic;

pub use address::Cidr;
pub use bridge::{BridgeSetup, remove_bridge, set_up_bridge, set_up_route_localnet};
pub use conntrack::{PublishedPort, forget_udp_flows};
pub use error::{NetlinkError, NetlinkResult};
pub use link::{Counters, Link, default_route_mtu, delete_link, find_link, list_links};
pub use netns::inside;
pub use pod::{Attached, PodAttachment, attach, attach_on_this_thread, loopback_up};
pub use route::Route;
pub use traffic::{Traffic, TrafficOf, TrafficReader};
