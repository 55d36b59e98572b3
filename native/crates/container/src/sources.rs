//! Sources of bind mounts: taken in the host's mount namespace, before the container leaves it.

use crate::error::{Kind, StepError, StepResult, failed, io_failed};
use crate::paths;
use crate::relabel::Relabel;
use crate::steps::{SourceNeeds, SourceStep};
use crate::users::Users;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, statx};
use rustix::mount::{OpenTreeFlags, open_tree};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A mount that is nowhere yet.
#[derive(Debug)]
pub struct Detached {
    /// The mount.
    pub mount: OwnedFd,
    /// Whether its root is a directory.
    pub directory: bool,
}

/// Takes a copy of the mount (tree) at a host path. Links in the path are followed. Its files get
/// their SELinux context first. With it come notes on what could not be done.
///
/// # Errors
/// The path does not exist; its mount does not propagate as asked, or cannot be shown by other ids; the failing call.
pub(crate) fn take(
    step: &SourceStep,
    users: Option<Users<'_>>,
    relabel: Option<&Relabel>,
) -> StepResult<(Detached, Vec<String>)> {
    let file = open(step)?;
    let mut notes = Vec::new();
    if let Some(relabel) = relabel.filter(|_| step.relabel) {
        notes.extend(relabel.apply(file.as_fd(), &step.path)?);
    }
    let directory = paths::is_directory(&file)?;
    let mount = clone_tree(file.as_fd(), step.recursive, &step.path)?;
    if let Some(users) = users.filter(|_| step.mapped) {
        notes.extend(map(mount.as_fd(), step, &users)?);
    }
    Ok((Detached { mount, directory }, notes))
}

/// Opens a source and looks whether its mount propagates as asked.
///
/// # Errors
/// The path does not exist; its mount does not propagate as asked; the failing call.
pub fn open(step: &SourceStep) -> StepResult<OwnedFd> {
    let file = rustix::fs::open(&step.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
        "open mount source",
        "open",
        &step.path,
    ))?;
    if step.needs != SourceNeeds::Nothing {
        check_propagation(file.as_fd(), step)?;
    }
    Ok(file)
}

/// Mounts below the source that cannot be idmapped keep their owners, who are nobody in the namespace, as with other
/// runtimes: a volume must not fail for what happens to be mounted in it.
fn map(mount: BorrowedFd<'_>, step: &SourceStep, users: &Users<'_>) -> StepResult<Option<String>> {
    if step.recursive && users.map_mount(mount, &step.path, true).is_ok() {
        return Ok(None);
    }
    users.map_mount(mount, &step.path, false)?;
    let below = format!("mounts below {} keep their owners: not all of them can be idmapped", step.path);
    Ok(step.recursive.then_some(below))
}

/// A detached copy of the mount (tree) behind an open file.
///
/// # Errors
/// The errno of open_tree.
pub(crate) fn clone_tree(file: BorrowedFd<'_>, recursive: bool, name: &str) -> StepResult<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(file, "", flags).map_err(failed("take mount source", "open_tree", name))
}

fn check_propagation(file: BorrowedFd<'_>, step: &SourceStep) -> StepResult<()> {
    let stat = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(failed(
        "look at mount source",
        "statx",
        &step.path,
    ))?;
    let table =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(io_failed("read", "read", "/proc/self/mountinfo"))?;
    let (shared, slave, at) = propagation_of(&table, stat.stx_mnt_id).unwrap_or_default();
    let why = match step.needs {
        SourceNeeds::Sharing if !shared => "it is not a shared mount",
        SourceNeeds::Receiving if !shared && !slave => "it is not a shared or slave mount",
        _ => return Ok(()),
    };
    let text = format!("path {:?} is mounted on {at:?} but {why}", step.path);
    let mut error = StepError::without_call(Kind::Invalid, "propagate mounts of", &step.path, why);
    error.detail = text;
    Err(error)
}

/// Whether the mount of this id is shared, whether it is a slave, and where it is. PURE.
fn propagation_of(mountinfo: &str, id: u64) -> Option<(bool, bool, String)> {
    let id = id.to_string();
    let line = mountinfo.lines().find(|l| l.split(' ').next() == Some(&id))?;
    let mut words = line.split(' ').skip(4);
    let at = words.next()?.to_owned();
    let tags: Vec<&str> = words.skip(1).take_while(|w| *w != "-").collect();
    let has = |prefix: &str| tags.iter().any(|t| t.starts_with(prefix));
    Some((has("shared:"), has("master:"), at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn propagation_is_read_from_mountinfo() {
        let table = "22 1 0:1 / / rw,relatime - ext4 /dev/vda rw\n\
                     23 22 0:5 / /a rw shared:7 - tmpfs t rw\n\
                     24 22 0:6 / /b rw master:7 propagate_from:2 - tmpfs t rw\n";
        assert_eq!(propagation_of(table, 22), Some((false, false, "/".into())));
        assert_eq!(propagation_of(table, 23), Some((true, false, "/a".into())));
        assert_eq!(propagation_of(table, 24), Some((false, true, "/b".into())));
        assert_eq!(propagation_of(table, 2), None);
    }
}
