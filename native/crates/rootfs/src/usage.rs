//! What a directory tree costs on disk.

use crate::walk::{Visitor, failed, walk};
use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Disk use of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TreeUsage {
    /// Allocated bytes, a file with several links once.
    pub bytes: u64,
    /// Inodes, the root included.
    pub inodes: u64,
}

/// Adds up a tree in one pass, mount points below it left out. The tree may change meanwhile;
/// ESTALE if a directory was moved out from under the walk in a tree deeper than 64 levels.
pub fn tree_usage(dir: &Path) -> SysResult<TreeUsage> {
    let root = fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| SysError::new("measure", "open", e.raw_os_error(), dir.to_string_lossy()))?;
    let mut sum = Sum::default();
    let stat =
        fs::fstat(&root).map_err(|e| SysError::new("measure", "fstat", e.raw_os_error(), dir.to_string_lossy()))?;
    sum.add(&stat);
    walk(root, &mut sum)?;
    Ok(sum.usage)
}

#[derive(Default)]
struct Sum {
    usage: TreeUsage,
    linked: HashSet<(u64, u64)>,
}

impl Sum {
    fn add(&mut self, stat: &Stat) {
        let shared = stat.st_nlink > 1 && fs::FileType::from_raw_mode(stat.st_mode) != fs::FileType::Directory;
        if shared && !self.linked.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        self.usage.inodes += 1;
        // st_blocks counts 512-byte units whatever the file system's block size (stat(3type)).
        self.usage.bytes += stat.st_blocks.unsigned_abs() * 512;
    }

    fn add_name(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => self.add(&stat),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(failed("measure", "fstatat", e, name)),
        }
        Ok(())
    }
}

impl Visitor for Sum {
    fn leaf(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        self.add_name(dir, name)
    }

    fn enter(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        self.add_name(dir, name)
    }

    fn leave(&mut self, _parent: BorrowedFd<'_>, _name: &CStr) -> SysResult<()> {
        Ok(())
    }

    fn mount_point(&mut self, _parent: BorrowedFd<'_>, _name: &CStr) -> SysResult<()> {
        Ok(())
    }
}
