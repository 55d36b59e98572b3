//! Mounting into the root: new filesystems and taken sources, at targets resolved in the root.

use crate::error::{StepError, StepResult, failed};
use crate::options::MountOptions;
use crate::paths::{self, Missing};
use crate::sources::Detached;
use crate::spec::Mount;
use crate::steps::MountStep;
use podwright_sys::mount_attr::{self, Change};
use rustix::fs::{Mode, OFlags, fstatfs, mkdirat, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, move_mount,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `f_type` of procfs.
pub(crate) const PROC_MAGIC: i64 = 0x9fa0;

/// A new filesystem of type `kind`, mounted nowhere, with its options applied.
///
/// # Errors
/// The failing call, naming the option it failed at.
pub(crate) fn new_filesystem(kind: &str, source: &str, options: &MountOptions) -> StepResult<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("make filesystem", "fsopen", kind))?;
    if !source.is_empty() {
        fsconfig_set_string(&context, "source", source).map_err(failed("make filesystem", "fsconfig", kind))?;
    }
    for option in &options.data {
        let set = match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value),
            None => fsconfig_set_flag(&context, option.as_str()),
        };
        set.map_err(failed("make filesystem", "fsconfig", format!("{kind} with option {option}")))?;
    }
    fsconfig_create(&context).map_err(failed("make filesystem", "fsconfig", kind))?;
    let bits = u32::try_from(options.set | options.recursive_set).unwrap_or(0);
    let attributes = MountAttrFlags::from_bits_retain(bits);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed("make filesystem", "fsmount", kind))
}

/// Applies attributes and propagation to a detached mount (tree).
///
/// # Errors
/// The errno of mount_setattr.
pub(crate) fn apply_options(mount: BorrowedFd<'_>, options: &MountOptions, target: &str) -> StepResult<()> {
    let deep = Change {
        set: options.recursive_set,
        clear: options.recursive_clear,
        propagation: if options.propagation_recursive { options.propagation } else { below(options.propagation) },
    };
    let flat = Change {
        set: options.set,
        clear: options.clear,
        propagation: if options.propagation_recursive { 0 } else { options.propagation },
    };
    for (change, recursive) in [(deep, true), (flat, false)] {
        if !change.is_empty() {
            mount_attr::set(mount, change, recursive).map_err(|mut e| {
                e.object = target.into();
                e
            })?;
        }
    }
    Ok(())
}

/// What is mounted below a mount of a propagation that is meant for itself alone: never the host's peer where the
/// mount is not, or what is mounted there would appear on the host. PURE.
fn below(propagation: u64) -> u64 {
    match propagation {
        mount_attr::PRIVATE | mount_attr::UNBINDABLE => mount_attr::PRIVATE,
        mount_attr::SLAVE => mount_attr::SLAVE,
        _ => 0,
    }
}

/// Attaches a detached mount at a target in the root, which is made if it is missing.
///
/// # Errors
/// The failing call.
pub(crate) fn attach(root: BorrowedFd<'_>, mount: BorrowedFd<'_>, target: &str, directory: bool) -> StepResult<()> {
    let missing = if directory { Missing::Directory } else { Missing::File };
    let at = paths::open_or_make(root, target, missing)?;
    attach_at(mount, at.as_fd(), target)
}

/// Attaches a detached mount on an open file.
///
/// # Errors
/// The errno of move_mount.
pub fn attach_at(mount: BorrowedFd<'_>, at: BorrowedFd<'_>, name: &str) -> StepResult<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", at, "", flags).map_err(failed("mount", "move_mount", name))
}

/// Attaches a detached mount on a directory, which it makes, of a tmpfs of our own.
///
/// # Errors
/// The failing call.
pub(crate) fn attach_below(tmpfs: BorrowedFd<'_>, mount: BorrowedFd<'_>, name: &str) -> StepResult<()> {
    mkdirat(tmpfs, name, Mode::from_raw_mode(0o755)).map_err(failed("make the directory", "mkdirat", name))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let at = openat(tmpfs, name, flags, Mode::empty()).map_err(failed("open", "openat", name))?;
    attach_at(mount, at.as_fd(), name)
}

/// /proc and /sys are mounted on what the image has there by that name, never through a link to
/// somewhere else (CVE-2019-19921).
///
/// # Errors
/// The target is a symbolic link.
pub(crate) fn refuse_linked_target(root: BorrowedFd<'_>, target: &str) -> StepResult<()> {
    if target != "/proc" && target != "/sys" {
        return Ok(());
    }
    let name = target.trim_start_matches('/');
    match rustix::fs::statat(root, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::Directory => {
            Err(StepError::invalid("mount", target, "in the image it is not a directory"))
        }
        Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(failed("look at", "fstatat", target)(e)),
    }
}

/// What is bound on /proc must be a procfs.
///
/// # Errors
/// It is something else.
pub(crate) fn refuse_false_proc(step: &MountStep, source: &Detached) -> StepResult<()> {
    if step.target != "/proc" {
        return Ok(());
    }
    let stat = fstatfs(&source.mount).map_err(failed("look at", "fstatfs", "/proc"))?;
    if stat.f_type as i64 == PROC_MAGIC {
        return Ok(());
    }
    Err(StepError::invalid("mount", "/proc", "the source is no procfs"))
}

/// Files below /proc that something may be mounted on: what lxcfs and the like provide. Anything
/// else there could stand in for a file the kernel is to be asked through (CVE-2019-19921).
const PROC_FILES: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
];

/// A mount inside /proc that is none of those is refused. PURE.
///
/// # Errors
/// It is one.
pub(crate) fn refuse_below_proc(mount: &Mount, target: &str) -> StepResult<()> {
    if target.starts_with("/proc/")
        && !PROC_FILES.contains(&target)
        && !target.starts_with("/proc/sys/kernel/ns_last_pid")
    {
        return Err(StepError::invalid("mount", &mount.destination, "nothing is mounted inside /proc"));
    }
    Ok(())
}
