//! What a container is made from beside its bundle. Values only. PURE.

use crate::ids::IdMaps;
use crate::place::Place;
use crate::relabel::Relabel;

/// Overlay layers of the root, topmost lower first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Read-only directories.
    pub lower: Vec<String>,
    /// The writable directory.
    pub upper: String,
    /// The overlay's working directory, on the same filesystem as `upper`.
    pub work: String,
    /// Further mount options.
    pub options: Vec<String>,
    /// SELinux context of all that is in it; empty: what the layers have.
    pub label: String,
}

/// Whose pid namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PidMode {
    /// The container's own: its process is pid 1.
    #[default]
    Own,
    /// The pod's.
    Shared,
    /// The host's.
    Host,
}

/// A seccomp filter, compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Array of `struct sock_filter` in host order; empty for no filter.
    pub program: Vec<u8>,
    /// SECCOMP_FILTER_FLAG_*.
    pub flags: u32,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The container's id, for its hooks.
    pub id: String,
    /// Directory with config.json.
    pub bundle: String,
    /// The root's layers; none: the spec's root.path is there already.
    pub overlay: Option<Overlay>,
    /// Its cgroups.
    pub place: Place,
    /// v1 devices directory for the rules; empty for none.
    pub devices_v1_dir: String,
    /// v2 directory for the device program; empty for none.
    pub devices_v2_dir: String,
    /// The log file; empty for none.
    pub log_path: String,
    /// Has a terminal.
    pub terminal: bool,
    /// Its seccomp filter.
    pub filter: Filter,
    /// Whose pid namespace.
    pub pid: PidMode,
    /// Whether the pod has a /dev/shm to share.
    pub shm: bool,
    /// The ids of the pod's user namespace; none: it is the host's.
    pub ids: Option<IdMaps>,
    /// Sources of its mounts that are given a SELinux context.
    pub relabel: Option<Relabel>,
}
