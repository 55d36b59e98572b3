//! Rules of the bridge and of published ports.

use super::{Removed, failure, on_own_thread, parsed};
use crate::error::NativeFailure;
use neon::prelude::*;
use neon::types::extract::Json;
use podwright_iptables::{Backend, BridgeRules, BridgeSubnet, Chains, ForwardJump, HostPort, IptablesError, Protocol};
use podwright_netlink::PublishedPort;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

impl From<IptablesError> for NativeFailure {
    fn from(error: IptablesError) -> Self {
        let message = error.to_string();
        match error {
            IptablesError::Start(source) => source.into(),
            IptablesError::Missing { program } | IptablesError::Refused { program, .. } => {
                failure("change the rules", program, message)
            }
            IptablesError::Unusable { .. } => failure("change the rules", "check", message),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubnetRequest {
    subnet: String,
    masquerade: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ForwardRequest {
    First,
    Last,
}

/// What rules are made with; a request that says nothing means iptables.
#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum BackendRequest {
    #[default]
    Iptables,
    Nftables,
}

impl From<BackendRequest> for Backend {
    fn from(request: BackendRequest) -> Self {
        match request {
            BackendRequest::Iptables => Self::Iptables,
            BackendRequest::Nftables => Self::Nftables,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnsureRules {
    #[serde(default)]
    backend: BackendRequest,
    chains: String,
    bridge: String,
    subnets: Vec<SubnetRequest>,
    forward: ForwardRequest,
}

/// Makes or repairs the chains, jumps and fixed rules of a bridge; rules of pods stay.
#[neon::export]
fn network_ensure_rules<'cx>(
    cx: &mut FunctionContext<'cx>,
    Json(request): Json<EnsureRules>,
) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let subnets: Result<Vec<BridgeSubnet>, NativeFailure> = request.subnets.iter().map(bridge_subnet).collect();
        let rules = BridgeRules {
            chains: Chains::new(&request.chains)?,
            bridge: request.bridge,
            subnets: subnets?,
            forward: match request.forward {
                ForwardRequest::First => ForwardJump::First,
                ForwardRequest::Last => ForwardJump::Last,
            },
        };
        Ok(podwright_iptables::ensure(request.backend.into(), &rules)?)
    })
}

fn bridge_subnet(request: &SubnetRequest) -> Result<BridgeSubnet, NativeFailure> {
    Ok(BridgeSubnet { subnet: request.subnet.parse()?, masquerade: request.masquerade })
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum ProtocolRequest {
    Tcp,
    Udp,
    Sctp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HostPortRequest {
    protocol: ProtocolRequest,
    host_ip: Option<String>,
    host_port: u16,
    pod_ip: String,
    container_port: u16,
    masquerade_from: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetHostPorts {
    #[serde(default)]
    backend: BackendRequest,
    chains: String,
    id: String,
    bridge: Option<String>,
    previous: Vec<HostPortRequest>,
    wanted: Vec<HostPortRequest>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HostPortsSet {
    flows_forgotten: usize,
}

/// Gives a pod exactly the wanted published ports, and forgets UDP flows that know it otherwise.
#[neon::export]
fn network_set_host_ports<'cx>(
    cx: &mut FunctionContext<'cx>,
    Json(request): Json<SetHostPorts>,
) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let chains = Chains::new(&request.chains)?;
        let read = |ports: &[HostPortRequest]| -> Result<Vec<HostPort>, NativeFailure> {
            ports.iter().map(host_port).collect()
        };
        let (previous, wanted) = (read(&request.previous)?, read(&request.wanted)?);
        if let Some(bridge) = &request.bridge {
            podwright_netlink::set_up_route_localnet(bridge)?;
        }
        podwright_iptables::set_host_ports(request.backend.into(), &chains, &request.id, &previous, &wanted)?;
        let udp: Vec<PublishedPort> = previous.iter().chain(&wanted).filter_map(udp).collect();
        let flows_forgotten = podwright_netlink::forget_udp_flows(&udp)?;
        Ok(HostPortsSet { flows_forgotten })
    })
}

fn host_port(request: &HostPortRequest) -> Result<HostPort, NativeFailure> {
    let host_ip = request.host_ip.as_deref();
    let from = request.masquerade_from.as_deref();
    Ok(HostPort {
        protocol: match request.protocol {
            ProtocolRequest::Tcp => Protocol::Tcp,
            ProtocolRequest::Udp => Protocol::Udp,
            ProtocolRequest::Sctp => Protocol::Sctp,
        },
        host_ip: host_ip.map(|text| parsed::<IpAddr>("host address", text)).transpose()?,
        host_port: request.host_port,
        pod_ip: parsed("pod address", &request.pod_ip)?,
        container_port: request.container_port,
        masquerade_from: from.map(|text| parsed("subnet", text)).transpose()?,
    })
}

fn udp(port: &HostPort) -> Option<PublishedPort> {
    (port.protocol == Protocol::Udp).then_some(PublishedPort { host_ip: port.host_ip, port: port.host_port })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PruneHostPorts {
    chains: String,
    live: BTreeSet<String>,
}

/// Removes the published ports of every pod that is not alive: the ids of those that had some.
#[neon::export]
fn network_prune_host_ports<'cx>(
    cx: &mut FunctionContext<'cx>,
    Json(request): Json<PruneHostPorts>,
) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let chains = Chains::new(&request.chains)?;
        Ok(podwright_iptables::prune_host_ports(&chains, &request.live)?)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemoveRules {
    chains: String,
}

/// Removes every chain, jump and rule of ours.
#[neon::export]
fn network_remove_rules<'cx>(
    cx: &mut FunctionContext<'cx>,
    Json(request): Json<RemoveRules>,
) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let removed = podwright_iptables::remove_all(&Chains::new(&request.chains)?)?;
        Ok(Removed { removed })
    })
}
