//! The mount namespace that a runtime is run in: what is mounted for it there, the host does not see (ruling 3).

use podwright_container::error::{StepError, StepResult, failed, io_failed};
use podwright_container::mounts;
use podwright_container::request::Overlay;
use podwright_container::root::mount_overlay;
use podwright_container::shared_mount::SharedMountRef;
use podwright_sys::namespace;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use std::os::fd::{AsFd, OwnedFd};

/// Where hybrid hosts have the unified tree.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Enters a mount namespace of one's own. Mounts keep their propagation, because volumes need it.
///
/// # Errors
/// The failing call.
pub(crate) fn enter(hide_unified: bool) -> StepResult<()> {
    namespace::unshare(namespace::MOUNT)?;
    if hide_unified { hide() } else { Ok(()) }
}

/// Takes the unified tree away in this namespace: some runtimes refuse hosts that have both kinds.
fn hide() -> StepResult<()> {
    // first of all private, or the host would lose it too
    mount_change("/sys/fs/cgroup", MountPropagationFlags::PRIVATE).map_err(failed(
        "make private",
        "mount",
        "/sys/fs/cgroup",
    ))?;
    match unmount(UNIFIED, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::NOENT | Errno::INVAL) => Ok(()), // this host is not hybrid
        Err(e) => Err(failed("hide", "umount2", UNIFIED)(e)),
    }
}

/// Makes the mount that a directory lies on private, so that what is mounted below it stays in this namespace.
///
/// # Errors
/// The failing call.
pub(crate) fn keep_in(directory: &str) -> StepResult<()> {
    let stat =
        statx(CWD, directory, AtFlags::empty(), StatxFlags::MNT_ID).map_err(failed("look at", "statx", directory))?;
    let table =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(io_failed("read", "read", "/proc/self/mountinfo"))?;
    let at = mount_point(&table, stat.stx_mnt_id)
        .ok_or_else(|| StepError::invalid("look at", directory, "its mount is not listed"))?;
    mount_change(at.as_str(), MountPropagationFlags::PRIVATE).map_err(failed("make private", "mount", at))
}

/// Where the mount of an id is, by proc_pid_mountinfo(5). PURE.
fn mount_point(mountinfo: &str, id: u64) -> Option<String> {
    let id = id.to_string();
    let line = mountinfo.lines().find(|l| l.split(' ').next() == Some(&id))?;
    Some(unescaped(line.split(' ').nth(4)?))
}

/// Blanks and the like are written as `\040`. PURE.
fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            let digits = bytes.by_ref().take(3).fold(0_u32, |n, digit| n * 8 + u32::from(digit.saturating_sub(b'0')));
            out.push(u8::try_from(digits).unwrap_or(b'?'));
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Mounts a container's root, and the pod's /dev/shm, in its bundle.
///
/// # Errors
/// The failing call.
pub(crate) fn furnish(bundle: &str, overlay: Option<&Overlay>, shm: Option<SharedMountRef<'_>>) -> StepResult<()> {
    if let Some(overlay) = overlay {
        let at = format!("{bundle}/rootfs");
        mount_target(&at, true)?;
        mount_overlay(overlay, &at)?;
    }
    if let Some(shm) = shm {
        let at = format!("{bundle}/shm");
        let tree = shm.copy()?;
        mounts::attach_at(tree.as_fd(), mount_target(&at, true)?.as_fd(), &at)?;
    }
    Ok(())
}

/// Makes a directory, or a file, to mount on; one that is there does.
///
/// # Errors
/// The failing call.
pub(crate) fn mount_target(path: &str, directory: bool) -> StepResult<OwnedFd> {
    let made = if directory {
        rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))
    } else {
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).map(drop)
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(failed("make what to mount on", "mkdir", path)(e)),
    }
    rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("open", "open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_from_mountinfo() {
        let table = "22 1 0:1 / / rw,relatime - ext4 /dev/vda rw\n23 22 0:5 / /a\\040b rw shared:7 - tmpfs t rw\n";
        assert_eq!(mount_point(table, 22).as_deref(), Some("/"));
        assert_eq!(mount_point(table, 23).as_deref(), Some("/a b"));
        assert_eq!(mount_point(table, 2), None);
    }
}
