//! unshare(2) for a process with one thread, and who owns a namespace.

use crate::errno::{SysError, SysResult};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

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

/// Bits of unshare(2) and clone(2) by the names that the kernel's limits have (user.max_*_namespaces).
const NAMES: [(i32, &str); 7] = [
    (libc::CLONE_NEWUSER, "user"),
    (libc::CLONE_NEWPID, "pid"),
    (NETWORK, "net"),
    (IPC, "ipc"),
    (UTS, "uts"),
    (MOUNT, "mnt"),
    (CGROUP, "cgroup"),
];

/// The namespaces among such bits, for people; "" for none. PURE.
pub(crate) fn names(flags: u64) -> String {
    let wanted = NAMES.iter().filter(|(bit, _)| flags & (*bit as u64) != 0);
    wanted.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

const NAMESPACES: i32 = MOUNT | CGROUP | NETWORK | IPC | UTS;

/// NS_GET_USERNS of ioctl_nsfs(2).
const GET_OWNER: libc::c_ulong = 0xb701;

/// The user namespace that owns a namespace.
///
/// # Errors
/// The errno of the ioctl: EPERM when the owner is not below the caller's user namespace.
pub fn owner_of(namespace: BorrowedFd<'_>) -> SysResult<OwnedFd> {
    // SAFETY: the call takes no argument; on what is no namespace it fails.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), GET_OWNER as _) };
    if fd < 0 {
        return Err(SysError::from_io(
            "look for the owner",
            "ioctl",
            &std::io::Error::last_os_error(),
            "NS_GET_USERNS",
        ));
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

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
        let error = std::io::Error::last_os_error();
        return Err(SysError::from_io(OPERATION, "unshare", &error, names(flags as u64)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{IPC, MOUNT, NETWORK, names};

    #[test]
    fn names_what_is_made() {
        assert_eq!(names((NETWORK | MOUNT | IPC) as u64), "net, ipc, mnt");
        assert_eq!(names(crate::clone::NEWUSER | crate::clone::NEWPID | crate::clone::PARENT), "user, pid");
        assert_eq!(names(0), "");
    }
}
