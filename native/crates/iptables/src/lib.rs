//! Rules of the pod bridge and of published ports, as data turned into iptables-restore text, or into one nft table
//! of our own, and applied in one call. Own chains and one jump to each; must not touch a rule of anybody else.

mod apply;
mod error;
mod host_ports;
mod names;
mod nft;
mod restore;
mod run;
mod save;

pub use apply::{ensure, prune_host_ports, remove_all, set_host_ports};
pub use error::{IptablesError, IptablesResult};
pub use host_ports::{HostPort, Protocol};
pub use names::{Backend, Chains, Family, Subnet};
pub use restore::{BridgeRules, BridgeSubnet, ForwardJump};
