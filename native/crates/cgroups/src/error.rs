//! What can go wrong with a cgroup.

use podwright_sys::errno::SysError;

/// A failed cgroup operation, named for what failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The kernel refused a call.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// No cgroup file system is mounted, or its table cannot be understood.
    #[error("no usable cgroup file system: {0}")]
    NoCgroups(&'static str),
    /// The path is not an absolute path below the root made of plain names.
    #[error("cgroup path {path:?}: {reason}")]
    Path {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A limit contradicts itself or another one.
    #[error("{field} {value}: {reason}")]
    Value {
        /// The field of `Resources`.
        field: &'static str,
        /// Its value.
        value: String,
        /// Why it cannot be.
        reason: &'static str,
    },
    /// The new memory limit is below what the group cannot give back; nothing was changed.
    #[error("memory limit {limit} of {path} is below its usage {usage}")]
    MemoryBelowUsage {
        /// The cgroup.
        path: String,
        /// The limit asked for, bytes.
        limit: i64,
        /// The usage, bytes.
        usage: u64,
    },
    /// A change failed, and the old memory limit could not come back: usage had grown above it, or may have.
    #[error("{cause}; the new memory limit stays: {why}")]
    LimitStays {
        /// The failure.
        cause: Box<CgroupError>,
        /// What the old limit is, and the usage; or what failed.
        why: Box<CgroupError>,
    },
    /// A key of `unified` that is not a writable file of a cgroup v2 directory.
    #[error("unified key {key:?}: {reason}")]
    UnifiedKey {
        /// The key.
        key: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A limit was asked for whose controller this host does not have.
    #[error("{field} of {path} needs the {controller} controller, which is not available")]
    NoController {
        /// The cgroup.
        path: String,
        /// The field of `Resources`.
        field: &'static str,
        /// The controller's name.
        controller: &'static str,
    },
    /// systemd refused a call, or its answer was none.
    #[error("systemd: {call} of {unit}: {message}")]
    Systemd {
        /// The method.
        call: &'static str,
        /// The unit it was about.
        unit: String,
        /// The D-Bus name of the error, empty if it had none.
        name: String,
        /// What it said.
        message: String,
    },
    /// Processes survived SIGKILL for the whole time given (uninterruptible sleep).
    #[error("cgroup {path} still has processes {pids:?} after kill")]
    StillPopulated {
        /// The cgroup or its directory.
        path: String,
        /// Some of those left.
        pids: Vec<i32>,
    },
}

impl CgroupError {
    /// The errno of a failed call, 0 for the other failures.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Sys(e) => e.errno,
            Self::LimitStays { cause, .. } => cause.errno(),
            _ => 0,
        }
    }
}

/// Result of a cgroup operation.
pub type Result<T> = std::result::Result<T, CgroupError>;
