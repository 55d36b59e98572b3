//! A directory tree as a tar: what a container has written as a layer (OCI image-spec layer.md: overlayfs's marks
//! become whiteouts), or any tree as it is.

use crate::error::printable;
use crate::overlay::{is_opaque, is_whiteout, open_dir};
use crate::tar::{NewEntry, NewKind, TarWriter, Xattr};
use crate::walk::{Visitor, failed, walk};
use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a written tree amounts to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Archived {
    /// Paths that the tree hides in the layers below it, relative.
    pub deleted: Vec<Vec<u8>>,
    /// Sockets, which tar does not know: left out.
    pub sockets: u64,
}

/// Writes all that is in `root`, and its own owner, mode and attributes as the entry `./`. The tree must hold still.
/// The end mark is the caller's to write.
///
/// # Errors
/// Of reading the tree or of writing; a directory that overlayfs has redirected to another name below.
pub fn write_tree<W: Write>(root: OwnedFd, tar: &mut TarWriter<W>) -> SysResult<Archived> {
    let stat = fs::fstat(&root).map_err(|e| failed("look at a directory", "fstat", e, c"."))?;
    let mut archive = Archive { tar, path: Vec::new(), linked: HashMap::new(), done: Archived::default() };
    archive.directory(root.as_fd(), &stat)?;
    walk(root, &mut archive)?;
    Ok(archive.done)
}

struct Archive<'a, W> {
    tar: &'a mut TarWriter<W>,
    /// Of the directory that is walked, with a slash at its end; empty for the root.
    path: Vec<u8>,
    /// The first name of files with several.
    linked: HashMap<(u64, u64), Vec<u8>>,
    done: Archived,
}

impl<W: Write> Archive<'_, W> {
    fn directory(&mut self, dir: BorrowedFd<'_>, stat: &Stat) -> SysResult<()> {
        let xattrs = xattrs(dir, &self.path)?;
        let path = if self.path.is_empty() { b"./".to_vec() } else { self.path.clone() };
        self.write(&NewEntry { kind: NewKind::Directory, path: &path, xattrs: &xattrs, ..of(stat) }, &mut io::empty())?;
        if is_opaque(dir)? {
            let mark = [self.path.as_slice(), b".wh..wh..opq"].concat();
            self.write(&NewEntry { path: &mark, ..of(stat) }, &mut io::empty())?;
        }
        Ok(())
    }

    fn write(&mut self, entry: &NewEntry<'_>, content: &mut dyn Read) -> SysResult<()> {
        self.tar
            .entry(entry, content)
            .map_err(|e| SysError::from_io("write to an archive", "write", &e, printable(entry.path)))
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr, stat: &Stat, path: &[u8]) -> SysResult<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match fs::openat(dir, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(failed("open", "openat", e, name)),
        };
        let xattrs = xattrs(file.as_fd(), path)?;
        let size = stat.st_size.unsigned_abs();
        let holes = stat.st_blocks.unsigned_abs() * 512 < size;
        let segments = if holes { Some(segments(&file, size, name)?) } else { None };
        let entry = NewEntry { path, size, sparse: segments.as_deref(), xattrs: &xattrs, ..of(stat) };
        let mut file = File::from(file);
        match &segments {
            None => self.write(&entry, &mut file),
            Some(list) => self.write(&entry, &mut Segments { file: &file, list: list.iter(), now: (0, 0) }),
        }
    }
}

impl<W: Write> Visitor for Archive<'_, W> {
    fn leaf(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        let stat = match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(failed("look at", "fstatat", e, name)),
        };
        let path = [self.path.as_slice(), name.to_bytes()].concat();
        if is_whiteout(&stat) {
            let mark = [self.path.as_slice(), b".wh.", name.to_bytes()].concat();
            self.write(&NewEntry { path: &mark, ..of(&stat) }, &mut io::empty())?;
            self.done.deleted.push(path);
            return Ok(());
        }
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Socket => {
                self.done.sockets += 1;
                return Ok(());
            }
            FileType::Symlink => NewKind::Symlink,
            FileType::CharacterDevice => NewKind::CharDevice,
            FileType::BlockDevice => NewKind::BlockDevice,
            FileType::Fifo => NewKind::Fifo,
            _ => NewKind::File,
        };
        if stat.st_nlink > 1 {
            if let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino)).cloned() {
                let entry = NewEntry { kind: NewKind::HardLink, path: &path, link: &first, ..of(&stat) };
                return self.write(&entry, &mut io::empty());
            }
            self.linked.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        match kind {
            NewKind::File => self.file(dir, name, &stat, &path),
            NewKind::Symlink => {
                let link =
                    fs::readlinkat(dir, name, Vec::new()).map_err(|e| failed("read a link", "readlinkat", e, name))?;
                self.write(&NewEntry { kind, path: &path, link: link.as_bytes(), ..of(&stat) }, &mut io::empty())
            }
            kind => self.write(&NewEntry { kind, path: &path, ..of(&stat) }, &mut io::empty()),
        }
    }

    fn enter(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        self.path.extend_from_slice(name.to_bytes());
        self.path.push(b'/');
        let opened = open_dir(dir, name.to_bytes()).map_err(|e| failed("open a directory", "openat", e, name))?;
        let stat = fs::fstat(&opened).map_err(|e| failed("look at a directory", "fstat", e, name))?;
        self.directory(opened.as_fd(), &stat)
    }

    fn leave(&mut self, _parent: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        self.path.truncate(self.path.len() - name.to_bytes().len() - 1);
        Ok(())
    }

    fn mount_point(&mut self, _parent: BorrowedFd<'_>, _name: &CStr) -> SysResult<()> {
        Ok(())
    }
}

/// Mode, owner, time and device of an entry.
fn of(stat: &Stat) -> NewEntry<'static> {
    NewEntry {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        device: (fs::major(stat.st_rdev), fs::minor(stat.st_rdev)),
        ..NewEntry::default()
    }
}

/// The data of a file with holes; a segment of no length at its end gives its size to readers that look there.
fn segments(file: &OwnedFd, size: u64, name: &CStr) -> SysResult<Vec<(u64, u64)>> {
    let seek_failed = |e| failed("look for holes in", "lseek", e, name);
    let mut list = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(e) => return Err(seek_failed(e)),
        };
        let end = fs::seek(file, SeekFrom::Hole(start)).map_err(seek_failed)?.min(size);
        list.push((start, end.saturating_sub(start)));
        at = end.max(start + 1);
    }
    list.push((size, 0));
    Ok(list)
}

struct Segments<'a> {
    file: &'a File,
    list: std::slice::Iter<'a, (u64, u64)>,
    now: (u64, u64),
}

impl Read for Segments<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.1 == 0 {
            let Some(next) = self.list.next() else { return Ok(0) };
            self.now = *next;
        }
        let wanted = buffer.len().min(usize::try_from(self.now.1).unwrap_or(usize::MAX));
        let part = buffer.get_mut(..wanted).unwrap_or_default();
        let count = rustix::io::pread(self.file, &mut *part, self.now.0)?;
        if count == 0 {
            part.fill(0); // it has become shorter
        }
        let done = if count == 0 { wanted } else { count };
        self.now = (self.now.0 + done as u64, self.now.1 - done as u64);
        Ok(done)
    }
}

/// Capabilities, ACLs and the user's attributes; overlayfs's own are its marks, and labels are the host's.
fn xattrs(fd: BorrowedFd<'_>, path: &[u8]) -> SysResult<Vec<Xattr>> {
    let read_failed =
        |e: Errno| SysError::new("read the extended attributes of", "fgetxattr", e.raw_os_error(), printable(path));
    let mut names = vec![0_u8; 64 << 10];
    let length = match fs::flistxattr(fd, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(e) => return Err(read_failed(e)),
    };
    let mut found = Vec::new();
    for name in names.get(..length).unwrap_or_default().split(|&b| b == 0).filter(|n| !n.is_empty()) {
        if name == b"trusted.overlay.redirect" {
            return Err(read_failed(Errno::XDEV));
        }
        let kept = matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default");
        if !kept && !name.starts_with(b"user.") {
            continue;
        }
        let mut value = vec![0_u8; 64 << 10];
        let size = fs::fgetxattr(fd, name, value.as_mut_slice()).map_err(read_failed)?;
        value.truncate(size);
        found.push(Xattr { name: name.to_vec(), value });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Opens a directory for [`write_tree`].
///
/// # Errors
/// The errno of open.
pub fn open_tree(path: &str) -> SysResult<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty()).map_err(|e| SysError::new("open", "open", e.raw_os_error(), path))
}
