//! The root filesystem: mounting it, entering it, shutting parts of it.

use crate::error::{StepResult, failed};
use crate::mounts::{apply_options, attach_at, new_filesystem};
use crate::options::MountOptions;
use crate::request::Overlay;
use crate::selinux;
use crate::sources::clone_tree;
use crate::steps::RootStep;
use crate::users::Users;
use podwright_sys::mount_attr::{self, Change};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// mount(2) takes one page of options.
const CLASSIC_LIMIT: usize = 4095;

/// Makes every mount of this namespace private: nothing done here is seen outside.
///
/// # Errors
/// The errno of mount.
pub(crate) fn make_private() -> StepResult<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(failed(
        "make private",
        "mount",
        "/",
    ))
}

/// Mounts the root and opens it; `mapped` is what was made of it before, with a user namespace.
///
/// # Errors
/// The failing call.
pub(crate) fn mount_root(step: &RootStep, mapped: Option<OwnedFd>) -> StepResult<OwnedFd> {
    match step {
        RootStep::Mapped => {
            let tree = mapped.ok_or_else(|| failed("mount", "move_mount", "the root filesystem")(Errno::BADF))?;
            // any directory will do, also for a user that may not look into ours; and /proc is everywhere
            attach_at(tree.as_fd(), open_directory("/proc")?.as_fd(), "the root filesystem")?;
            Ok(tree)
        }
        RootStep::Overlay { overlay, at } => {
            mount_overlay(overlay, at)?;
            open_directory(at)
        }
        RootStep::Directory(path) => {
            let directory = open_directory(path)?;
            let tree = private_copy(directory.as_fd(), true, path)?;
            attach_at(tree.as_fd(), directory.as_fd(), path)?;
            Ok(tree)
        }
    }
}

/// A detached copy of a mount (tree) that no later mount gets into.
///
/// # Errors
/// The failing call.
pub(crate) fn private_copy(directory: BorrowedFd<'_>, recursive: bool, path: &str) -> StepResult<OwnedFd> {
    let tree = clone_tree(directory, recursive, path)?;
    let private =
        MountOptions { propagation: mount_attr::PRIVATE, propagation_recursive: true, ..MountOptions::default() };
    apply_options(tree.as_fd(), &private, path)?;
    Ok(tree)
}

/// A root that is a directory, mounted nowhere, with its files shown by the ids of a user namespace.
///
/// # Errors
/// The failing call; a file system without idmapped mounts.
pub(crate) fn map_directory(path: &str, users: &Users<'_>) -> StepResult<OwnedFd> {
    let tree = private_copy(open_directory(path)?.as_fd(), true, path)?;
    users.map_mount(tree.as_fd(), path, true)?;
    Ok(tree)
}

/// Opens a directory of the host to mount on or to clone (O_PATH).
///
/// # Errors
/// The errno of open.
pub(crate) fn open_directory(path: &str) -> StepResult<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
        "open root filesystem",
        "open",
        path,
    ))
}

/// Mounts an overlay on a directory; without an upper directory it is read-only and needs two lower ones.
///
/// # Errors
/// The errno of mount.
pub fn mount_overlay(overlay: &Overlay, at: &str) -> StepResult<()> {
    let classic = classic_options(overlay);
    if classic.len() <= CLASSIC_LIMIT {
        let data = CString::new(classic).map_err(|_| failed("mount overlay", "mount", at)(Errno::INVAL))?;
        let mounted = mount("overlay", at, "overlay", MountFlags::empty(), data.as_c_str());
        mounted.map_err(failed("mount overlay", "mount", at))?;
        return refuse_without_work(overlay, at);
    }
    // one option per layer, which has no limit (Linux 6.8)
    let mut data: Vec<String> = overlay.lower.iter().map(|layer| format!("lowerdir+={layer}")).collect();
    if !overlay.upper.is_empty() {
        data.extend([format!("upperdir={}", overlay.upper), format!("workdir={}", overlay.work)]);
    }
    data.extend(overlay.options.iter().cloned());
    data.extend(selinux::option(&overlay.label));
    let tree = new_filesystem("overlay", "overlay", &MountOptions { data, ..MountOptions::default() })?;
    attach_at(tree.as_fd(), open_directory(at)?.as_fd(), at)?;
    refuse_without_work(overlay, at)
}

/// Where overlayfs cannot make its work directory, for want of inodes or space, it mounts read-only and says so to the
/// kernel's log alone. A container that asked for a root to write to would get one it cannot write to.
fn refuse_without_work(overlay: &Overlay, at: &str) -> StepResult<()> {
    let flags = rustix::fs::statvfs(at).map_err(failed("mount overlay", "statvfs", at))?.f_flag;
    if overlay.upper.is_empty() || !flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let probe = format!("{}/.podwright", overlay.work);
    match rustix::fs::mkdir(probe.as_str(), Mode::RWXU) {
        Err(errno) => Err(failed("mount overlay", "mkdir", &overlay.work)(errno)),
        Ok(()) => {
            // It is the container's own, and goes with it.
            let _ = rustix::fs::rmdir(probe.as_str());
            Err(failed("mount overlay", "mount", at)(Errno::ROFS))
        }
    }
}

/// The options of mount(2); colons and commas in paths are escaped. PURE.
fn classic_options(overlay: &Overlay) -> String {
    let escaped = |path: &String, colon: bool| {
        let mut out = String::with_capacity(path.len());
        for c in path.chars() {
            if c == '\\' || c == ',' || (colon && c == ':') {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    let lower: Vec<String> = overlay.lower.iter().map(|l| escaped(l, true)).collect();
    let mut text = format!("lowerdir={}", lower.join(":"));
    if !overlay.upper.is_empty() {
        text += &format!(",upperdir={},workdir={}", escaped(&overlay.upper, false), escaped(&overlay.work, false));
    }
    for option in &overlay.options {
        text += ",";
        text += option;
    }
    if !overlay.label.is_empty() {
        // its categories are separated by commas, as options are
        text += &format!(",context=\"{}\"", overlay.label);
    }
    text
}

/// Makes the root the process's root and lets go of the one before.
///
/// # Errors
/// The failing call.
pub(crate) fn pivot(root: BorrowedFd<'_>) -> StepResult<()> {
    rustix::process::fchdir(root).map_err(failed("enter", "fchdir", "the root filesystem"))?;
    // pivot_root(".", ".") puts the old root on top of the new one; see pivot_root(2)
    rustix::process::pivot_root(".", ".").map_err(failed("change the root", "pivot_root", "."))?;
    unmount(".", UnmountFlags::DETACH).map_err(failed("leave the host's root", "umount2", "."))?;
    rustix::process::chdir("/").map_err(failed("enter", "chdir", "/"))
}

/// Makes a path read-only with what is mounted below it; a path that is not there is left.
/// To be called inside the root.
///
/// # Errors
/// The failing call.
pub(crate) fn read_only_path(path: &str) -> StepResult<()> {
    let Some(file) = open_if_there(path)? else { return Ok(()) };
    let tree = clone_tree(file.as_fd(), true, path)?;
    let shut = MountOptions { recursive_set: mount_attr::RDONLY, ..MountOptions::default() };
    apply_options(tree.as_fd(), &shut, path)?;
    attach_at(tree.as_fd(), file.as_fd(), path)
}

/// Makes the root's own mount read-only; what is mounted on it keeps its own flags.
///
/// # Errors
/// The errno of mount_setattr.
pub(crate) fn read_only_root() -> StepResult<()> {
    let root = open_directory("/")?;
    mount_attr::set(root.as_fd(), Change { set: mount_attr::RDONLY, ..Change::default() }, false)?;
    Ok(())
}

/// What masked paths are covered with, made before the host's root is out of reach.
#[derive(Debug)]
pub(crate) struct Masks {
    /// A copy of the host's /dev/null, nowhere until the first file is masked; others are copied
    /// from there.
    null: OwnedFd,
    null_is_used: bool,
    /// An empty read-only tmpfs, made when the first directory is masked.
    empty: Option<OwnedFd>,
    /// SELinux context of that.
    label: String,
}

impl Masks {
    /// Takes the host's /dev/null.
    ///
    /// # Errors
    /// It is not there, or it is no null device.
    pub(crate) fn prepare(label: &str) -> StepResult<Self> {
        let null = rustix::fs::open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "open",
            "open",
            "/dev/null",
        ))?;
        let stat = rustix::fs::fstat(&null).map_err(failed("look at", "fstat", "/dev/null"))?;
        if stat.st_rdev != rustix::fs::makedev(1, 3) {
            return Err(failed("open", "fstat", "/dev/null")(Errno::NXIO));
        }
        Ok(Self {
            null: clone_tree(null.as_fd(), false, "/dev/null")?,
            null_is_used: false,
            empty: None,
            label: label.into(),
        })
    }

    /// Covers a path: a file with /dev/null, a directory with nothing; a path that is not there
    /// is left. To be called inside the root.
    ///
    /// # Errors
    /// The failing call.
    pub(crate) fn cover(&mut self, path: &str) -> StepResult<()> {
        let Some(file) = open_if_there(path)? else { return Ok(()) };
        if !crate::paths::is_directory(&file)? {
            if self.null_is_used {
                let cover = clone_tree(self.null.as_fd(), false, "/dev/null")?;
                return attach_at(cover.as_fd(), file.as_fd(), path);
            }
            self.null_is_used = true;
            return attach_at(self.null.as_fd(), file.as_fd(), path);
        }
        let cover = match &self.empty {
            Some(empty) => clone_tree(empty.as_fd(), false, "tmpfs")?,
            None => {
                let data = std::iter::once("nr_inodes=2".to_owned()).chain(selinux::option(&self.label)).collect();
                let options = MountOptions { set: mount_attr::RDONLY, data, ..MountOptions::default() };
                new_filesystem("tmpfs", "tmpfs", &options)?
            }
        };
        attach_at(cover.as_fd(), file.as_fd(), path)?;
        self.empty.get_or_insert(cover);
        Ok(())
    }
}

fn open_if_there(path: &str) -> StepResult<Option<OwnedFd>> {
    match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(failed("open", "open", path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_options_are_escaped() {
        let overlay = Overlay {
            lower: vec!["/l/a:b".into(), "/l/c,d".into()],
            upper: "/u".into(),
            work: "/w".into(),
            options: vec!["volatile".into()],
            label: String::new(),
        };
        let expected = "lowerdir=/l/a\\:b:/l/c\\,d,upperdir=/u,workdir=/w,volatile";
        assert_eq!(classic_options(&overlay), expected);
        let labelled = Overlay { label: "u:r:t:s0:c1,c2".into(), ..overlay };
        assert_eq!(classic_options(&labelled), format!("{expected},context=\"u:r:t:s0:c1,c2\""));
    }
}
