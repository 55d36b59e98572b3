//! What can go wrong when talking to the kernel over netlink.

use podwright_sys::errno::SysError;
use thiserror::Error;

/// A failed request over netlink.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetlinkError {
    /// The kernel refused, or a system call around the request failed.
    #[error("{source}{}", explained(.detail))]
    Kernel {
        /// What was attempted, on what, and the errno.
        #[source]
        source: SysError,
        /// The kernel's own words (extended acknowledgement); empty when it gave none.
        detail: String,
    },
    /// The kernel's reply could not be understood.
    #[error("{operation} {object}: malformed netlink reply: {reason}")]
    Malformed {
        /// What was attempted.
        operation: &'static str,
        /// The object worked on.
        object: String,
        /// What was wrong with the reply.
        reason: &'static str,
    },
    /// The name is taken by an interface of another kind or owner.
    #[error("{operation}: interface {name} exists already and is {found}")]
    NameTaken {
        /// What was attempted.
        operation: &'static str,
        /// The interface.
        name: String,
        /// What the interface is instead.
        found: String,
    },
    /// The thread that was to do the work could not be had or died.
    #[error("{operation}: {reason}")]
    Thread {
        /// What was attempted.
        operation: &'static str,
        /// Why there was no answer.
        reason: String,
    },
}

fn explained(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

impl NetlinkError {
    /// The errno; 0 where the failure is not a system call's.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Kernel { source, .. } => source.errno,
            Self::NameTaken { .. } => libc::EEXIST,
            Self::Malformed { .. } | Self::Thread { .. } => 0,
        }
    }
}

impl From<SysError> for NetlinkError {
    fn from(source: SysError) -> Self {
        Self::Kernel { source, detail: String::new() }
    }
}

/// Result of a request over netlink.
pub type NetlinkResult<T> = Result<T, NetlinkError>;
