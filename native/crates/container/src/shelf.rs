//! Overlays for a pod with a user namespace: mounted nowhere, their files shown by its ids.
//!
//! An overlay is not idmapped itself: its layers are. What it writes belongs to the one who mounts it, who is therefore
//! the namespace's root, with the rights that an overlay needs from the host's.

use crate::credentials;
use crate::error::{StepError, StepResult, failed};
use crate::mounts::{attach_at, attach_below, new_filesystem};
use crate::options::MountOptions;
use crate::request::Overlay;
use crate::root::{make_private, mount_overlay, open_directory, private_copy};
use crate::users::Users;
use podwright_sys::namespace;
use rustix::fs::{Mode, mkdirat};
use rustix::mount::{UnmountFlags, unmount};
use std::os::fd::{AsFd, OwnedFd};

/// Where it lies: any directory will do, and /proc is everywhere.
const SHELF: &str = "/proc";

/// A place to put layers on where an overlay finds them, in a mount namespace nobody else is in. (Before Linux 6.15 an
/// overlay takes only layers that are mounted somewhere.)
#[derive(Debug)]
pub(crate) struct Shelf {
    tmpfs: OwnedFd,
    stacks: usize,
}

impl Shelf {
    /// Leaves the host's mount namespace for it.
    ///
    /// # Errors
    /// The failing call.
    pub(crate) fn new() -> StepResult<Self> {
        namespace::unshare(namespace::MOUNT)?;
        make_private()?;
        let options = MountOptions { data: vec!["mode=700".into()], ..MountOptions::default() };
        let tmpfs = new_filesystem("tmpfs", "tmpfs", &options)?;
        attach_at(tmpfs.as_fd(), open_directory(SHELF)?.as_fd(), SHELF)?;
        Ok(Self { tmpfs, stacks: 0 })
    }

    /// Mounts an overlay, and answers what `take` takes from the path it is at.
    ///
    /// # Errors
    /// The failing call; a layer on a file system without idmapped mounts; what `take` fails with.
    pub(crate) fn stack<T>(
        &mut self,
        overlay: &Overlay,
        users: &Users<'_>,
        take: impl FnOnce(&str) -> StepResult<T>,
    ) -> StepResult<T> {
        self.stacks += 1;
        let number = self.stacks;
        let (options, label) = (overlay.options.clone(), overlay.label.clone());
        let mut found = Overlay { options, label, ..Overlay::default() };
        for (layer, path) in overlay.lower.iter().enumerate() {
            found.lower.push(self.put(path, &format!("{number}-{layer}"), users)?);
        }
        if !overlay.upper.is_empty() {
            // one mount of the directory that has both: an overlay wants that
            let ((above, upper), (beside, work)) = (split(&overlay.upper), split(&overlay.work));
            if above != beside {
                return Err(StepError::invalid("mount overlay", &overlay.work, "it is not beside the upper directory"));
            }
            let writable = self.put(above, &format!("{number}-writable"), users)?;
            (found.upper, found.work) = (format!("{writable}/{upper}"), format!("{writable}/{work}"));
        }
        let name = format!("{number}-stack");
        let failed = failed("make the directory", "mkdirat", &name);
        mkdirat(&self.tmpfs, name.as_str(), Mode::from_raw_mode(0o700)).map_err(failed)?;
        let at = format!("{SHELF}/{name}");
        let (uid, gid) = users.outside(0, 0)?;
        credentials::owning(uid, gid, || mount_overlay(&found, &at))?;
        take(&at)
    }

    fn put(&self, path: &str, name: &str, users: &Users<'_>) -> StepResult<String> {
        let layer = private_copy(open_directory(path)?.as_fd(), false, path)?;
        users.map_mount(layer.as_fd(), path, false)?;
        attach_below(self.tmpfs.as_fd(), layer.as_fd(), name)?;
        Ok(format!("{SHELF}/{name}"))
    }

    /// Takes everything down; what was taken from the overlays stays.
    ///
    /// # Errors
    /// The errno of umount2.
    pub(crate) fn take_down(self) -> StepResult<()> {
        unmount(SHELF, UnmountFlags::DETACH).map_err(failed("leave the layers", "umount2", SHELF))
    }
}

/// The directory and the last name of a path.
fn split(path: &str) -> (&str, &str) {
    path.trim_end_matches('/').rsplit_once('/').unwrap_or((".", path))
}
