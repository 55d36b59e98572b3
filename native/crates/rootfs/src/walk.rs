//! Walking a directory tree by descriptors: never through a link or into a mount, in bounded memory of
//! descriptors however deep the tree is.

use crate::error::printable;
use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Levels whose descriptor stays open; those above are reopened through `..` and checked.
const OPEN_LEVELS: usize = 64;

/// What is done with the things of a tree, parents after what is in them.
pub trait Visitor {
    /// Anything but a directory.
    fn leaf(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()>;
    /// A directory, before it is entered.
    fn enter(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()>;
    /// A directory, after all that is in it.
    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> SysResult<()>;
    /// A directory that is a mount point: not entered.
    fn mount_point(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> SysResult<()>;
}

struct Level {
    fd: Option<OwnedFd>,
    id: (u64, u64),
    name: CString,
    subdirs: Vec<CString>,
}

/// Walks what is in `root`, not the root itself. What vanishes meanwhile is passed over.
///
/// # Errors
/// The failing call; what the visitor fails with.
pub fn walk(root: OwnedFd, visitor: &mut impl Visitor) -> SysResult<()> {
    let mut levels = vec![level(root, CString::default(), visitor)?];
    while let Some(top) = levels.last_mut() {
        let Some(name) = top.subdirs.pop() else {
            let Some(done) = levels.pop() else { break };
            let Some(parent) = levels.last_mut() else { break };
            visitor.leave(parent_fd(parent, &done)?, &done.name)?;
            continue;
        };
        let dir = open_fd(top)?;
        let entered = match open_below(dir, &name) {
            Ok(fd) => {
                visitor.enter(dir, &name)?;
                level(fd, name, visitor)?
            }
            // Gone, or no directory any more.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(Errno::XDEV) => {
                visitor.mount_point(dir, &name)?;
                continue;
            }
            Err(e) => return Err(failed("open a directory", "openat2", e, &name)),
        };
        if levels.len() >= OPEN_LEVELS {
            let far = levels.len() - OPEN_LEVELS;
            levels[far].fd = None;
        }
        levels.push(entered);
    }
    Ok(())
}

fn level(fd: OwnedFd, name: CString, visitor: &mut impl Visitor) -> SysResult<Level> {
    let stat = fs::fstat(&fd).map_err(|e| failed("look at a directory", "fstat", e, &name))?;
    let mut subdirs = Vec::new();
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = RawDir::new(fd.as_fd(), buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // Removed meanwhile: it is empty.
            Err(Errno::NOENT) => break,
            other => other.map_err(|e| failed("list a directory", "getdents64", e, &name))?,
        };
        let child = entry.file_name();
        if matches!(child.to_bytes(), b"." | b"..") {
            continue;
        }
        if is_directory(fd.as_fd(), child, entry.file_type())? {
            subdirs.push(child.to_owned());
        } else {
            visitor.leaf(fd.as_fd(), child)?;
        }
    }
    Ok(Level { fd: Some(fd), id: (stat.st_dev, stat.st_ino), name, subdirs })
}

fn is_directory(dir: BorrowedFd<'_>, name: &CStr, listed: FileType) -> SysResult<bool> {
    if listed != FileType::Unknown {
        return Ok(listed == FileType::Directory);
    }
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(failed("look at", "fstatat", e, name)),
    }
}

fn open_below(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat2(
        dir,
        name,
        flags,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS,
    )
}

fn open_fd(level: &Level) -> SysResult<BorrowedFd<'_>> {
    level.fd.as_ref().map(AsFd::as_fd).ok_or_else(|| failed("reopen a directory", "openat", Errno::STALE, &level.name))
}

/// The parent's descriptor, reopened through `..` of its child if it was closed; refused if the tree was moved.
fn parent_fd<'a>(parent: &'a mut Level, child: &Level) -> SysResult<BorrowedFd<'a>> {
    if parent.fd.is_none() {
        let fail = |e| failed("reopen a directory", "openat", e, &parent.name);
        let fd =
            fs::openat(open_fd(child)?, c"..", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(fail)?;
        let stat = fs::fstat(&fd).map_err(fail)?;
        if (stat.st_dev, stat.st_ino) != parent.id {
            return Err(fail(Errno::STALE));
        }
        parent.fd = Some(fd);
    }
    open_fd(parent)
}

/// A failed call on a name in a tree.
pub(crate) fn failed(operation: &'static str, syscall: &'static str, errno: Errno, name: &CStr) -> SysError {
    SysError::new(operation, syscall, errno.raw_os_error(), printable(name.to_bytes()))
}
