//! The directory a layer is unpacked into: every path from the image is resolved inside it.
//!
//! Parents are opened by openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV); the last
//! component is only ever named relative to such a parent, never followed. What does not exist yet is
//! walked step by step, links read by hand and clamped to the root.

use crate::error::{UnpackError, UnpackResult, printable};
use crate::overlay::{is_whiteout, make_opaque, open_dir, stat_name};
use podwright_sys::errno::SysError;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Open parents kept: tars are written depth first, so a few serve nearly every entry.
const CACHED: usize = 64;
/// Links followed in one path, as the kernel's limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// An open directory of the layer and where it is: no name on its path is a link.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// Below the root, empty for the root itself.
    path: Vec<u8>,
}

impl Dir {
    pub(crate) fn new(fd: OwnedFd, path: Vec<u8>) -> Self {
        Self { fd, path }
    }

    /// The path of something in it.
    pub(crate) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A layer's directory while it is being unpacked.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Rc<Dir>,
    cache: HashMap<Vec<u8>, Rc<Dir>>,
    order: VecDeque<Vec<u8>>,
    /// Directories made because something below them was in the tar.
    pub(crate) implied: Vec<Vec<u8>>,
    inodes: u64,
    max_inodes: u64,
}

impl Tree {
    /// Takes the opened root, and how many inodes may come to be in it.
    pub(crate) fn new(root: OwnedFd, max_inodes: u64) -> Self {
        Self {
            root: Rc::new(Dir::new(root, Vec::new())),
            cache: HashMap::new(),
            order: VecDeque::new(),
            implied: Vec::new(),
            inodes: 0,
            max_inodes,
        }
    }

    /// Inodes made and not removed again.
    pub(crate) fn inodes(&self) -> u64 {
        self.inodes
    }

    /// Counts an inode made. Implied directories count too: one entry may imply hundreds.
    pub(crate) fn count_made(&mut self, path: &[u8]) -> UnpackResult<()> {
        self.inodes += 1;
        if self.inodes > self.max_inodes {
            Err(UnpackError::too_large(path, "inodes", self.max_inodes))
        } else {
            Ok(())
        }
    }

    /// Counts inodes removed (replaced by a later entry).
    pub(crate) fn count_removed(&mut self, count: u64) {
        self.inodes = self.inodes.saturating_sub(count);
    }

    /// The root itself.
    pub(crate) fn root(&self) -> Rc<Dir> {
        Rc::clone(&self.root)
    }

    /// The directory at a path, made with its parents (0755, root) where absent.
    pub(crate) fn directory(&mut self, components: &[&[u8]]) -> UnpackResult<Rc<Dir>> {
        if components.is_empty() {
            return Ok(self.root());
        }
        let key = components.join(&b'/');
        if let Some(dir) = self.cache.get(&key) {
            return Ok(Rc::clone(dir));
        }
        let dir = match self.open(&key, ResolveFlags::NO_SYMLINKS) {
            Ok(fd) => Rc::new(Dir::new(fd, key.clone())),
            // A link is on the way, or something is not there yet.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.make_directories(components)?,
            Err(e) => return Err(disk("open a directory of the layer", "openat2", e, &key)),
        };
        self.remember(key, Rc::clone(&dir));
        Ok(dir)
    }

    /// The directory at a path if there is one, following links inside the root.
    pub(crate) fn existing(&self, components: &[&[u8]]) -> Result<OwnedFd, Errno> {
        if components.is_empty() {
            return rustix::io::fcntl_dupfd_cloexec(&self.root, 3);
        }
        self.open(&components.join(&b'/'), ResolveFlags::empty())
    }

    /// Keeps an open directory for the entries below it.
    pub(crate) fn remember(&mut self, key: Vec<u8>, dir: Rc<Dir>) {
        if self.order.len() == CACHED
            && let Some(oldest) = self.order.pop_front()
        {
            self.cache.remove(&oldest);
        }
        if self.cache.insert(key.clone(), dir).is_none() {
            self.order.push_back(key);
        }
    }

    /// Forgets all open directories: a directory or link on some path was replaced.
    pub(crate) fn forget(&mut self) {
        self.cache.clear();
        self.order.clear();
    }

    fn open(&self, path: &[u8], links: ResolveFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV | links;
        // EAGAIN: something was renamed while `..` of a link was resolved (openat2(2)).
        for _ in 0..128 {
            match fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Walks one name at a time, making what is absent; each step is relative to an open directory.
    fn make_directories(&mut self, components: &[&[u8]]) -> UnpackResult<Rc<Dir>> {
        let whole = components.join(&b'/');
        let mut todo: VecDeque<Vec<u8>> = components.iter().map(|c| c.to_vec()).collect();
        let mut stack: Vec<Rc<Dir>> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    stack.pop();
                    continue;
                }
                _ => {}
            }
            let here = stack.last().map_or_else(|| self.root(), Rc::clone);
            let stat = stat_name(&here, &name).map_err(|e| disk("look at", "fstatat", e, &whole))?;
            let fd = match stat {
                None => {
                    let fd = self.make_directory(&here, &name, &whole)?;
                    self.implied.push(here.path_of(&name));
                    fd
                }
                Some(stat) if is_whiteout(&stat) => {
                    fs::unlinkat(&here, &name, AtFlags::empty())
                        .map_err(|e| disk("replace a whiteout", "unlinkat", e, &whole))?;
                    self.count_removed(1);
                    let fd = self.make_directory(&here, &name, &whole)?;
                    make_opaque(&fd)?;
                    fd
                }
                Some(stat) => match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => open_dir(&here, &name)
                        .map_err(|e| disk("open a directory of the layer", "openat", e, &whole))?,
                    FileType::Symlink => {
                        links += 1;
                        if links > MAX_LINKS {
                            return Err(UnpackError::malformed(&whole, "a path leads through too many links"));
                        }
                        let target = fs::readlinkat(&here, &name, Vec::new())
                            .map_err(|e| disk("read a link", "readlinkat", e, &whole))?;
                        if target.as_bytes().starts_with(b"/") {
                            stack.clear();
                        }
                        for part in target.as_bytes().split(|&b| b == b'/').rev() {
                            todo.push_front(part.to_vec());
                        }
                        continue;
                    }
                    _ => {
                        return Err(UnpackError::malformed(
                            &whole,
                            "an entry lies below something that is no directory",
                        ));
                    }
                },
            };
            stack.push(Rc::new(Dir::new(fd, here.path_of(&name))));
        }
        Ok(stack.pop().unwrap_or_else(|| self.root()))
    }

    fn make_directory(&mut self, parent: &Dir, name: &[u8], whole: &[u8]) -> UnpackResult<OwnedFd> {
        fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))
            .map_err(|e| disk("make a directory of the layer", "mkdirat", e, whole))?;
        self.count_made(whole)?;
        let fd = open_dir(parent, name).map_err(|e| disk("open a directory of the layer", "openat", e, whole))?;
        // mkdir is subject to the process's umask.
        fs::fchmod(&fd, Mode::from_raw_mode(0o755)).map_err(|e| disk("set the mode of", "fchmod", e, whole))?;
        Ok(fd)
    }
}

/// A failed call on something in the layer; a name too long for the file system is the layer's fault.
pub(crate) fn disk(operation: &'static str, syscall: &'static str, errno: Errno, path: &[u8]) -> UnpackError {
    if errno == Errno::NAMETOOLONG {
        return UnpackError::malformed(path, "a path is too long for the file system");
    }
    UnpackError::Disk(SysError::new(operation, syscall, errno.raw_os_error(), printable(path)))
}
