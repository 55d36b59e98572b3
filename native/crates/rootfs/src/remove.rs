//! Freeing trees: never following a link, never into a mount, immutable files included.

use crate::error::printable;
use crate::overlay::{open_dir, stat_name};
use crate::walk::{Visitor, failed, walk};
use podwright_sys::errno::{SysError, SysResult};
use podwright_sys::steps;
use rustix::fs::{self, AtFlags, FileType, IFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

/// Removes `name` and all below it; `Ok(0)` if there is nothing. Goes on past what cannot be removed and
/// reports the first such failure. The number of inodes' names removed.
pub(crate) fn remove_name(dir: impl AsFd, name: &[u8]) -> SysResult<u64> {
    let name = CString::new(name)
        .map_err(|_| SysError::new("remove", "unlinkat", Errno::INVAL.raw_os_error(), printable(name)))?;
    let mut removed = 0;
    loop {
        let mut remover = Remover::default();
        remove_once(dir.as_fd(), &name, &mut remover)?;
        removed += remover.removed;
        match remover.first {
            None => return Ok(removed),
            // A file system may skip names while others are removed: again, as long as it gets on.
            Some(e) if e.errno == Errno::NOTEMPTY.raw_os_error() && remover.removed > 0 => {}
            Some(e) => return Err(e),
        }
    }
}

fn remove_once(dir: BorrowedFd<'_>, name: &CStr, remover: &mut Remover) -> SysResult<()> {
    let Some(stat) = stat_name(dir, name.to_bytes()).map_err(|e| failed("remove", "fstatat", e, name))? else {
        return Ok(());
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return remover.leaf(dir, name);
    }
    let tree = open_dir(dir, name.to_bytes()).map_err(|e| failed("remove", "openat", e, name))?;
    clear_flags(tree.as_fd());
    walk(tree, remover)?;
    remover.leave(dir, name)
}

#[derive(Default)]
struct Remover {
    removed: u64,
    first: Option<SysError>,
}

impl Remover {
    fn done(&mut self, result: Result<(), Errno>, syscall: &'static str, name: &CStr) {
        match result {
            Ok(()) => self.removed += 1,
            Err(Errno::NOENT) => {}
            Err(e) => {
                self.first.get_or_insert_with(|| failed("remove", syscall, e, name));
            }
        }
    }
}

impl Visitor for Remover {
    fn leaf(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        steps::reach("file freed");
        let mut result = fs::unlinkat(dir, name, AtFlags::empty());
        if result == Err(Errno::PERM) && clear_file_flags(dir, name) {
            result = fs::unlinkat(dir, name, AtFlags::empty());
        }
        self.done(result, "unlinkat", name);
        Ok(())
    }

    fn enter(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        if let Ok(tree) = open_dir(dir, name.to_bytes()) {
            clear_flags(tree.as_fd());
        }
        Ok(())
    }

    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        self.done(fs::unlinkat(parent, name, AtFlags::REMOVEDIR), "unlinkat", name);
        Ok(())
    }

    fn mount_point(&mut self, _parent: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        self.done(Err(Errno::BUSY), "unlinkat", name);
        Ok(())
    }
}

/// Clears what chattr(1) may have set against removal; only regular files and directories carry it,
/// and nothing else is opened (opening a device or pipe of a container could do anything).
fn clear_file_flags(dir: BorrowedFd<'_>, name: &CStr) -> bool {
    let regular = stat_name(dir, name.to_bytes())
        .ok()
        .flatten()
        .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    regular && fs::openat(dir, name, flags, Mode::empty()).is_ok_and(|file| clear_flags(file.as_fd()))
}

/// True if there was a flag and it was cleared. A file system without flags has none to clear.
fn clear_flags(file: BorrowedFd<'_>) -> bool {
    let guarded = IFlags::IMMUTABLE | IFlags::APPEND;
    match fs::ioctl_getflags(file) {
        Ok(flags) if flags.intersects(guarded) => fs::ioctl_setflags(file, flags - guarded).is_ok(),
        _ => false,
    }
}
