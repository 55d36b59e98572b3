//! Owner, mode, attributes and times of what was unpacked.

use crate::error::{UnpackError, UnpackResult};
use crate::tar::{Entry, Xattr};
use crate::tree::disk;
use podwright_sys::errno::SysError;
use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// Owner, mode and attributes of an open file or directory, in this order: chown clears the setuid bits
/// and file capabilities.
pub(crate) fn set_on_fd(fd: impl AsFd, entry: &Entry) -> UnpackResult<()> {
    let fd = fd.as_fd();
    fs::fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
        .map_err(|e| disk("set the owner of", "fchown", e, &entry.path))?;
    fs::fchmod(fd, Mode::from_raw_mode(entry.mode)).map_err(|e| disk("set the mode of", "fchmod", e, &entry.path))?;
    for xattr in entry.xattrs.iter().filter(|x| is_kept(&x.name)) {
        match fs::fsetxattr(fd, xattr.name.as_slice(), &xattr.value, XattrFlags::empty()) {
            Ok(()) => {}
            // The file system keeps no such attributes; a capability must not get lost unseen.
            Err(Errno::OPNOTSUPP) if xattr.name != CAPABILITY => {}
            Err(e) => return Err(attribute_failed(e, entry, xattr)),
        }
    }
    Ok(())
}

/// Owner, mode and times of something that cannot be opened: a link, device or pipe.
pub(crate) fn set_on_name(dir: impl AsFd, name: &[u8], entry: &Entry, with_mode: bool) -> UnpackResult<()> {
    let dir = dir.as_fd();
    fs::chownat(dir, name, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| disk("set the owner of", "fchownat", e, &entry.path))?;
    if with_mode {
        // fchmodat(2) would follow a link put in its place; through O_PATH it is this inode or none.
        let fd = fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| disk("open", "openat", e, &entry.path))?;
        fs::chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), Mode::from_raw_mode(entry.mode))
            .map_err(|e| disk("set the mode of", "chmod", e, &entry.path))?;
    }
    fs::utimensat(dir, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| disk("set the times of", "utimensat", e, &entry.path))
}

/// Access and modification time, both the entry's.
pub(crate) fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

const CAPABILITY: &[u8] = b"security.capability";

/// Attributes an image may set: capabilities, ACLs and the user's own. Overlayfs's marks in an image would
/// rearrange the merged tree, labels and integrity hashes belong to the host's policy.
fn is_kept(name: &[u8]) -> bool {
    match name {
        CAPABILITY | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    }
}

fn attribute_failed(errno: Errno, entry: &Entry, xattr: &Xattr) -> UnpackError {
    match errno {
        Errno::INVAL | Errno::RANGE | Errno::NAMETOOLONG | Errno::TOOBIG => {
            UnpackError::malformed(&entry.path, "an extended attribute has a bad name or value")
        }
        e => {
            let object = format!("{} ({})", crate::error::printable(&entry.path), crate::error::printable(&xattr.name));
            UnpackError::Disk(SysError::new("set an extended attribute of", "fsetxattr", e.raw_os_error(), object))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_attributes_are_kept() {
        for kept in ["user.mime_type", "security.capability", "system.posix_acl_default"] {
            assert!(is_kept(kept.as_bytes()), "{kept}");
        }
        for dropped in [
            "trusted.overlay.opaque",
            "trusted.overlay.redirect",
            "user.overlay.opaque",
            "security.selinux",
            "security.ima",
            "trusted.x",
        ] {
            assert!(!is_kept(dropped.as_bytes()), "{dropped}");
        }
    }
}
