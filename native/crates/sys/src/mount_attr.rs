//! mount_setattr(2): attributes of a mount or of a whole tree of mounts.

use crate::errno::{SysError, SysResult};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Read-only.
pub const RDONLY: u64 = 0x1;
/// No set-user-id.
pub const NOSUID: u64 = 0x2;
/// No device nodes.
pub const NODEV: u64 = 0x4;
/// No programs.
pub const NOEXEC: u64 = 0x8;
/// The access time field; its values follow.
pub const ATIME_MASK: u64 = 0x70;
/// Never update access times.
pub const NOATIME: u64 = 0x10;
/// Always update access times.
pub const STRICTATIME: u64 = 0x20;
/// Never update access times of directories.
pub const NODIRATIME: u64 = 0x80;
/// No symbolic links followed.
pub const NOSYMFOLLOW: u64 = 0x20_0000;

/// Ids mapped by a user namespace.
const IDMAP: u64 = 0x10_0000;

/// Propagation: private.
pub const PRIVATE: u64 = libc::MS_PRIVATE;
/// Propagation: receives, does not send.
pub const SLAVE: u64 = libc::MS_SLAVE;
/// Propagation: both ways.
pub const SHARED: u64 = libc::MS_SHARED;
/// Propagation: private and cannot be bound.
pub const UNBINDABLE: u64 = libc::MS_UNBINDABLE;

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// What to change: attribute bits to set and to clear, and a propagation (0: leave).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
    /// One of the propagation constants, or 0.
    pub propagation: u64,
}

impl Change {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.set == 0 && self.clear == 0 && self.propagation == 0
    }
}

/// Changes the mount behind `mount` (an open_tree or fsmount descriptor), with all below it when `recursive`.
///
/// # Errors
/// The errno of mount_setattr.
pub fn set(mount: BorrowedFd<'_>, change: Change, recursive: bool) -> SysResult<()> {
    let mut clear = change.clear;
    if change.set & ATIME_MASK != 0 {
        clear |= ATIME_MASK; // the field is replaced as a whole
    }
    let attr = MountAttr { attr_set: change.set, attr_clr: clear, propagation: change.propagation, userns_fd: 0 };
    apply(mount, &attr, recursive)
}

/// Makes ids of the file system appear through a mount as the ids of the host that they are in the user namespace
/// `users` (mount_setattr(2), ID-mapped mounts). Only for mounts that are nowhere yet.
///
/// # Errors
/// The errno of mount_setattr: EINVAL for a file system that has no such mounts.
pub fn map_ids(mount: BorrowedFd<'_>, users: BorrowedFd<'_>, recursive: bool) -> SysResult<()> {
    let userns_fd = users.as_raw_fd() as u64;
    apply(mount, &MountAttr { attr_set: IDMAP, attr_clr: 0, propagation: 0, userns_fd }, recursive)
}

fn apply(mount: BorrowedFd<'_>, attr: &MountAttr, recursive: bool) -> SysResult<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: attr is a valid mount_attr of the size given; the empty path names the descriptor.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    if rc != 0 {
        return Err(SysError::from_io("set mount attributes", "mount_setattr", &std::io::Error::last_os_error(), ""));
    }
    Ok(())
}
