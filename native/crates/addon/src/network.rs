//! Pod networks: bridge, attach and detach, rules, counters. Each call runs on a thread of its own:
//! some enter a pod's namespace, others wait for the kernel or a program, and none may hold a
//! thread of libuv's pool.

mod rules;

use crate::error::{NativeFailure, Outcome};
use crate::long_work::on_thread;
use neon::prelude::*;
use neon::types::extract::Json;
use podwright_netlink::{
    BridgeSetup, Cidr, Counters, NetlinkError, PodAttachment, Route, Traffic, TrafficOf, TrafficReader,
};
use podwright_sys::errno::SysError;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, TryLockError, create_dir_all};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

impl From<NetlinkError> for NativeFailure {
    fn from(error: NetlinkError) -> Self {
        let message = error.to_string();
        match error {
            NetlinkError::Kernel { source, .. } => Self { message, ..source.into() },
            other => Self { errno: other.errno(), ..failure("use the network", "netlink", message) },
        }
    }
}

fn failure(operation: &str, syscall: &str, message: String) -> NativeFailure {
    NativeFailure { operation: operation.into(), syscall: syscall.into(), errno: 0, object: String::new(), message }
}

/// Runs `work` on a thread made for it: it may move to another namespace, for the thread ends with it.
fn on_own_thread<'cx, T: Serialize + Send + 'static>(
    cx: &mut Cx<'cx>,
    work: impl FnOnce() -> Result<T, NativeFailure> + Send + 'static,
) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "network", work)
}

fn parsed<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, NativeFailure> {
    text.parse().map_err(|_| {
        let message = format!("not a usable {what}: {text:?}");
        failure("read a network request", "parse", message)
    })
}

fn parsed_mac(text: &str) -> Result<[u8; 6], NativeFailure> {
    let octets: Option<Vec<u8>> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    let octets = octets.and_then(|octets| <[u8; 6]>::try_from(octets).ok());
    octets.ok_or_else(|| {
        let message = format!("not a usable hardware address: {text:?}");
        failure("read a network request", "parse", message)
    })
}

fn all_parsed<T: std::str::FromStr>(what: &str, texts: &[String]) -> Result<Vec<T>, NativeFailure> {
    texts.iter().map(|text| parsed(what, text)).collect()
}

/// The MTU of the interface of the default route; null on an isolated host.
#[neon::export]
fn network_default_mtu<'cx>(cx: &mut FunctionContext<'cx>) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, || Ok(podwright_netlink::default_route_mtu()?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetupBridge {
    bridge: String,
    alias: String,
    mtu: Option<u32>,
    mac: Option<String>,
    gateways: Vec<String>,
    forwarding: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    created: bool,
}

/// Makes the bridge or brings the one that exists to what is wanted.
#[neon::export]
fn network_setup_bridge<'cx>(
    cx: &mut FunctionContext<'cx>,
    Json(request): Json<SetupBridge>,
) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let created = podwright_netlink::set_up_bridge(&BridgeSetup {
            mac: request.mac.as_deref().map(parsed_mac).transpose()?,
            gateways: all_parsed("address", &request.gateways)?,
            bridge: request.bridge,
            alias: request.alias,
            mtu: request.mtu,
            forwarding: request.forwarding,
        })?;
        Ok(Made { created })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemoveBridge {
    bridge: String,
    alias: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    removed: bool,
}

/// Deletes a bridge that has this alias and no ports.
#[neon::export]
fn network_remove_bridge<'cx>(
    cx: &mut FunctionContext<'cx>,
    Json(request): Json<RemoveBridge>,
) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let removed = podwright_netlink::remove_bridge(&request.bridge, &request.alias)?;
        Ok(Removed { removed })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RouteRequest {
    destination: String,
    gateway: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attach {
    netns: PathBuf,
    host_interface: String,
    pod_interface: String,
    bridge: String,
    alias: String,
    mtu: u32,
    mac: Option<String>,
    addresses: Vec<String>,
    routes: Vec<RouteRequest>,
    hairpin: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttachedPod {
    mac: String,
    created: bool,
}

/// A pod's whole connection in one call: veth pair, bridge port, addresses, routes, loopback.
#[neon::export]
fn network_attach<'cx>(cx: &mut FunctionContext<'cx>, Json(request): Json<Attach>) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let routes: Result<Vec<Route>, NativeFailure> = request.routes.iter().map(route).collect();
        let wanted = PodAttachment {
            mac: request.mac.as_deref().map(parsed_mac).transpose()?,
            addresses: all_parsed::<Cidr>("address", &request.addresses)?,
            routes: routes?,
            netns: request.netns,
            host_interface: request.host_interface,
            pod_interface: request.pod_interface,
            bridge: request.bridge,
            alias: request.alias,
            mtu: request.mtu,
            hairpin: request.hairpin,
        };
        let attached = podwright_netlink::attach_on_this_thread(&wanted)?;
        let octets: Vec<String> = attached.mac.iter().map(|o| format!("{o:02x}")).collect();
        Ok(AttachedPod { mac: octets.join(":"), created: attached.created })
    })
}

fn route(request: &RouteRequest) -> Result<Route, NativeFailure> {
    let gateway = request.gateway.as_deref();
    Ok(Route {
        destination: parsed("route", &request.destination)?,
        gateway: gateway.map(|text| parsed("gateway", text)).transpose()?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Detach {
    host_interface: String,
}

/// Deletes a pod's veth pair by its host end; one that is gone is fine.
#[neon::export]
fn network_detach<'cx>(cx: &mut FunctionContext<'cx>, Json(request): Json<Detach>) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let removed = podwright_netlink::delete_link(&request.host_interface)?;
        Ok(Removed { removed })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Loopback {
    netns: PathBuf,
}

/// Brings up loopback in a network namespace.
#[neon::export]
fn network_loopback_up<'cx>(cx: &mut FunctionContext<'cx>, Json(request): Json<Loopback>) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || Ok(podwright_netlink::loopback_up(&request.netns)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListLinks {
    prefix: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedLink {
    name: String,
    alias: String,
    bridge: Option<String>,
    up: bool,
    mtu: u32,
}

/// The host's interfaces whose name begins with the prefix.
#[neon::export]
fn network_list_links<'cx>(cx: &mut FunctionContext<'cx>, Json(request): Json<ListLinks>) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let links = podwright_netlink::list_links("")?;
        let names: HashMap<u32, String> = links.iter().map(|link| (link.index, link.name.clone())).collect();
        let wanted = links.into_iter().filter(|link| link.name.starts_with(&request.prefix));
        let listed: Vec<ListedLink> = wanted
            .map(|link| ListedLink {
                bridge: link.master.and_then(|index| names.get(&index).cloned()),
                name: link.name,
                alias: link.alias,
                up: link.up,
                mtu: link.mtu,
            })
            .collect();
        Ok(listed)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StatsOf {
    host_interface: Option<String>,
    pod_interface: String,
    netns: Option<PathBuf>,
}

impl From<StatsOf> for TrafficOf {
    fn from(of: StatsOf) -> Self {
        Self { host_interface: of.host_interface, pod_interface: of.pod_interface, netns: of.netns }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InterfaceStats {
    pods: Vec<StatsOf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PodInterface {
    name: String,
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

fn pod_interface(name: &str, counters: Counters) -> PodInterface {
    PodInterface {
        name: name.to_owned(),
        rx_bytes: counters.rx_bytes,
        rx_packets: counters.rx_packets,
        rx_errors: counters.rx_errors,
        rx_dropped: counters.rx_dropped,
        tx_bytes: counters.tx_bytes,
        tx_packets: counters.tx_packets,
        tx_errors: counters.tx_errors,
        tx_dropped: counters.tx_dropped,
    }
}

/// Sockets kept in pods whose network has no end in the host.
const MOST_INSIDE: usize = 1024;
static TRAFFIC: Mutex<Option<TrafficReader>> = Mutex::new(None);

/// The reader is only a cache: what a panic left of it is used on.
fn with_traffic<T>(work: impl FnOnce(&mut TrafficReader) -> T) -> T {
    let mut reader = TRAFFIC.lock().unwrap_or_else(PoisonError::into_inner);
    work(reader.get_or_insert_with(|| TrafficReader::new(MOST_INSIDE)))
}

/// Traffic of many pods as they see it, in the order asked; null for one that has no network.
#[neon::export]
fn network_interface_stats<'cx>(
    cx: &mut FunctionContext<'cx>,
    Json(request): Json<InterfaceStats>,
) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let pods: Vec<TrafficOf> = request.pods.into_iter().map(StatsOf::into).collect();
        let read = with_traffic(|reader| reader.read(&pods))?;
        let named = |traffic: Traffic| traffic.iter().map(|(name, c)| pod_interface(name, *c)).collect();
        Ok(read.into_iter().map(|traffic| traffic.map(named)).collect::<Vec<Option<Vec<PodInterface>>>>())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ForgetStats {
    netns: PathBuf,
}

/// Lets go of a pod's network namespace, which reading its traffic may have kept.
#[neon::export(task)]
fn network_forget_stats(Json(request): Json<ForgetStats>) -> Json<Outcome<()>> {
    with_traffic(|reader| reader.forget(&request.netns));
    Json(Outcome::Ok(()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LockFile {
    path: PathBuf,
}

/// Takes the exclusive flock(2) on a file, made with its directories if absent; null when another has
/// it. The descriptor is the lock: whoever asked closes it.
#[neon::export]
fn network_try_lock(Json(request): Json<LockFile>) -> Json<Outcome<Option<i32>>> {
    let taken = lock_target(&request.path).and_then(|file| match file.try_lock() {
        Ok(()) => Ok(Some(file.into_raw_fd())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(lock_failure("flock", &error, &request.path)),
    });
    Json(taken.into())
}

/// The same, waiting for it.
#[neon::export]
fn network_lock<'cx>(cx: &mut FunctionContext<'cx>, Json(request): Json<LockFile>) -> JsResult<'cx, JsPromise> {
    on_own_thread(cx, move || {
        let file = lock_target(&request.path)?;
        file.lock().map_err(|error| lock_failure("flock", &error, &request.path))?;
        Ok(file.into_raw_fd())
    })
}

fn lock_failure(syscall: &'static str, error: &std::io::Error, path: &Path) -> NativeFailure {
    SysError::from_io("lock the address allocations", syscall, error, path.display().to_string()).into()
}

fn lock_target(path: &Path) -> Result<File, NativeFailure> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let dir = path.parent().unwrap_or(path);
            create_dir_all(dir).map_err(|error| lock_failure("mkdir", &error, path))?;
            options.open(path)
        }
        opened => opened,
    }
    .map_err(|error| lock_failure("open", &error, path))
}
