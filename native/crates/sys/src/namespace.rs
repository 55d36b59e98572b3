//! unshare(2) for a process with one thread.

use crate::errno::{SysError, SysResult};

/// A mount namespace of one's own.
pub const MOUNT: i32 = libc::CLONE_NEWNS;
/// A cgroup namespace rooted at the present cgroups.
pub const CGROUP: i32 = libc::CLONE_NEWCGROUP;
/// A network namespace.
pub const NETWORK: i32 = libc::CLONE_NEWNET;
/// A namespace of System V IPC and POSIX message queues.
pub const IPC: i32 = libc::CLONE_NEWIPC;
/// A namespace of host and domain name.
pub const UTS: i32 = libc::CLONE_NEWUTS;

const NAMESPACES: i32 = MOUNT | CGROUP | NETWORK | IPC | UTS;

/// Leaves the present namespaces for new ones: an OR of this file's constants. Other threads of
/// the process stay behind, so it must have one thread.
///
/// # Errors
/// EINVAL for other bits; the errno of unshare.
pub fn unshare(flags: i32) -> SysResult<()> {
    const OPERATION: &str = "make namespaces";
    if flags & !NAMESPACES != 0 {
        return Err(SysError::new(OPERATION, "unshare", libc::EINVAL, format!("{flags:#x}")));
    }
    // SAFETY: unshare of namespaces touches no memory of ours and no descriptor table.
    if unsafe { libc::unshare(flags) } != 0 {
        return Err(SysError::from_io(OPERATION, "unshare", &std::io::Error::last_os_error(), ""));
    }
    Ok(())
}
