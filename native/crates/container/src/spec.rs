//! The parts of the OCI runtime-spec (1.2) that this runtime reads. What it does not carry out is
//! refused by [`crate::steps`], not ignored. PURE.

use serde::Deserialize;
use std::collections::BTreeMap;

/// config.json.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Of the runtime-spec.
    pub oci_version: String,
    /// The process to run.
    pub process: Option<Process>,
    /// The root filesystem.
    pub root: Root,
    /// Mounts in order.
    pub mounts: Vec<Mount>,
    /// Programs around the container's life.
    pub hooks: Option<Hooks>,
    /// Free text; `podwright.devices` is read.
    pub annotations: BTreeMap<String, String>,
    /// The Linux part.
    pub linux: Linux,
}

/// `hooks`: lists in the order in which they are run (config.md, POSIX-platform Hooks).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Hooks {
    /// In the runtime's namespaces, before the root is entered. Superseded by the next one.
    pub prestart: Vec<Hook>,
    /// In the runtime's namespaces, before the root is entered.
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before the root is entered.
    pub create_container: Vec<Hook>,
    /// In the container, as its user, before its program.
    pub start_container: Vec<Hook>,
    /// In the runtime's namespaces, when the program runs.
    pub poststart: Vec<Hook>,
    /// In the runtime's namespaces, when the container has ended.
    pub poststop: Vec<Hook>,
}

/// One of the lists in `hooks`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// The program: absolute.
    pub path: String,
    /// Its arguments with its name; empty: the path alone.
    pub args: Vec<String>,
    /// `NAME=value`; it gets no other.
    pub env: Vec<String>,
    /// Seconds after which it is killed and counts as failed; absent: none.
    pub timeout: Option<u64>,
}

/// `root`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Root {
    /// Absolute, or relative to the bundle.
    pub path: String,
    /// Mounted read-only.
    pub readonly: bool,
}

/// `process`, also the object of an exec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Has a terminal.
    pub terminal: bool,
    /// The terminal's first size.
    pub console_size: Option<ConsoleSize>,
    /// Who it runs as.
    pub user: User,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// Capability sets; absent: none at all.
    pub capabilities: Option<CapabilityLists>,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// No program gives it more than it has.
    pub no_new_privileges: bool,
    /// Score adjustment for the OOM killer.
    pub oom_score_adj: Option<i32>,
    /// AppArmor profile.
    pub apparmor_profile: String,
    /// SELinux context of its program; empty: the policy's own choice.
    pub selinux_label: String,
    /// Scheduler settings: refused when given.
    pub scheduler: Option<serde_json::Value>,
    /// I/O priority: refused when given.
    pub io_priority: Option<serde_json::Value>,
}

/// `process.consoleSize`, in characters.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// `process.user`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// File mode creation mask; absent: 0022.
    pub umask: Option<u32>,
    /// Supplementary groups.
    pub additional_gids: Vec<u32>,
}

/// `process.capabilities`, names as in capabilities(7).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CapabilityLists {
    /// Bounding set.
    pub bounding: Vec<String>,
    /// Effective set.
    pub effective: Vec<String>,
    /// Permitted set.
    pub permitted: Vec<String>,
    /// Inheritable set.
    pub inheritable: Vec<String>,
    /// Ambient set.
    pub ambient: Vec<String>,
}

/// One of `process.rlimits`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Soft limit; the largest number means none.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// One of `mounts`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// Where, in the container.
    pub destination: String,
    /// Filesystem type; `bind` or empty with a bind option; `podwright-shm`; `podwright-image`, whose
    /// options `lower=DIRECTORY` are an image's layers, topmost first, at least two, and whose option
    /// `subpath=PATH` is what is mounted of it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What.
    pub source: String,
    /// Options of mount(8).
    pub options: Vec<String>,
    /// Ids of an idmapped mount: the pod's user namespace's, or none.
    pub uid_mappings: Vec<IdMapping>,
    /// Ids of an idmapped mount: the pod's user namespace's, or none.
    pub gid_mappings: Vec<IdMapping>,
}

/// `linux`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Linux {
    /// Device nodes to make.
    pub devices: Vec<Device>,
    /// Kernel parameters.
    pub sysctl: BTreeMap<String, String>,
    /// Namespaces; pid, network, ipc and uts come from the sandbox.
    pub namespaces: Vec<Namespace>,
    /// Resources; only the device rules are read here, the rest is the daemon's.
    pub resources: Option<Resources>,
    /// Paths that are made unreadable.
    pub masked_paths: Vec<String>,
    /// Paths that are made read-only.
    pub readonly_paths: Vec<String>,
    /// Propagation of the root mount.
    pub rootfs_propagation: String,
    /// SELinux context of the filesystems that are mounted for it; empty: the policy's own choice.
    pub mount_label: String,
    /// User namespace ids: those of the pod's.
    pub uid_mappings: Vec<IdMapping>,
    /// User namespace ids: those of the pod's.
    pub gid_mappings: Vec<IdMapping>,
    /// Execution domain: refused when given.
    pub personality: Option<serde_json::Value>,
    /// Cache allocation: refused when given.
    pub intel_rdt: Option<serde_json::Value>,
    /// Clock offsets: refused when given.
    pub time_offsets: Option<BTreeMap<String, serde_json::Value>>,
    /// Network devices to move in: refused when given.
    pub net_devices: Option<BTreeMap<String, serde_json::Value>>,
}

/// A range of ids of a user namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IdMapping {
    /// First id in the namespace.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id of the host.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// One of `linux.namespaces`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup`, `time`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One to join.
    pub path: String,
}

/// `linux.resources`, as far as it is read here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Device rules in order.
    pub devices: Vec<DeviceRuleSpec>,
}

/// One of `linux.resources.devices`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeviceRuleSpec {
    /// Grants, or takes away.
    pub allow: bool,
    /// `a`, `c` or `b`; empty means `a`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Major number; absent: every one.
    pub major: Option<i64>,
    /// Minor number; absent: every one.
    pub minor: Option<i64>,
    /// Subset of `rwm`; empty means all.
    pub access: String,
}

/// One of `linux.devices`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Device {
    /// Path in the container.
    pub path: String,
    /// `c`, `u`, `b` or `p`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits; absent: 0666.
    pub file_mode: Option<u32>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// One of the list in the annotation `podwright.devices`: a device known only by its host path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestedDevice {
    /// A device node, or a directory of them, on the host; symbolic links are followed.
    pub host_path: String,
    /// Where it appears in the container.
    pub container_path: String,
    /// Subset of `rwm`; empty means all.
    pub permissions: String,
    /// Owner in the container; absent: the host node's.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Group in the container; absent: the host node's.
    #[serde(default)]
    pub gid: Option<u32>,
    /// Permission bits; absent: the host node's.
    #[serde(default)]
    pub file_mode: Option<u32>,
}

/// The annotation that holds a JSON list of [`RequestedDevice`].
pub const DEVICES_ANNOTATION: &str = "podwright.devices";
