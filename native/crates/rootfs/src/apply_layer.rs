//! A layer's tar into a directory of its own (OCI image-spec layer.md): whiteouts become overlayfs's,
//! the last entry of a path wins, nothing outside the directory is ever touched.

use crate::error::{UnpackError, UnpackResult};
use crate::limits::Limits;
use crate::metadata::{set_on_fd, set_on_name, times};
use crate::overlay::{is_whiteout, make_opaque, make_whiteout, open_dir, stat_name};
use crate::remove::remove_name;
use crate::tar::{Entry, Kind, MetaLimits, TarReader};
use crate::tar_index::{IndexWriter, Recorded, SharedIndex};
use crate::tree::{Dir, Tree, disk};
use podwright_sys::errno::SysError;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Pieces files are written in at most: larger brings nothing, smaller costs calls.
const WRITE_BYTES: usize = 256 << 10;

/// What an unpacked layer amounts to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppliedLayer {
    /// Entries of the tar that were carried out.
    pub entries: u64,
    /// Bytes of file contents, holes of sparse files included.
    pub bytes: u64,
    /// Inodes made.
    pub inodes: u64,
    /// Entries that were passed over: aufs's own files, devices 0, 0 (they would be whiteouts that OCI does not know).
    pub skipped: u64,
    /// Directories made without an entry of their own: their owner and mode are those of lower layers.
    pub implied: Vec<Vec<u8>>,
}

/// Unpacks a tar into an empty open directory, then reads the source to its end (a digest over it is complete).
/// On failure what was made stays: the caller removes the directory. Nothing is synced.
pub fn apply_layer(source: impl BufRead, root: OwnedFd, limits: &Limits) -> UnpackResult<AppliedLayer> {
    apply(source, root, limits, None)
}

/// The same, with an index of the tar. True beside what was applied: the index is whole; false: this layer cannot have one.
/// The writer's failures are those of the disk.
pub fn apply_layer_indexed(
    source: impl BufRead,
    root: OwnedFd,
    limits: &Limits,
    index: IndexWriter<'_>,
) -> UnpackResult<(AppliedLayer, bool)> {
    let index = Rc::new(RefCell::new(index));
    let applied = apply(source, root, limits, Some(Rc::clone(&index)))?;
    let failed = |e: std::io::Error| UnpackError::Disk(SysError::from_io("write the tar index", "write", &e, ""));
    // Nobody else has it any more: source and layer are gone.
    let whole = Rc::into_inner(index).map_or(Ok(false), |index| index.into_inner().finish()).map_err(failed)?;
    Ok((applied, whole))
}

fn apply(source: impl BufRead, root: OwnedFd, limits: &Limits, index: SharedIndex<'_>) -> UnpackResult<AppliedLayer> {
    let meta = MetaLimits {
        max_entries: limits.max_entries,
        max_path_bytes: limits.max_path_bytes,
        max_xattr_bytes: limits.max_xattr_bytes,
    };
    let mut reader = TarReader::new(Recorded::new(source, index.clone()), meta);
    let mut layer = Layer {
        tree: Tree::new(root, limits.max_entries),
        limits,
        dirs: HashMap::new(),
        applied: AppliedLayer::default(),
        index,
    };
    while let Some(entry) = reader.next_entry()? {
        layer.place(&mut reader, &entry)?;
    }
    layer.set_directory_times()?;
    reader.into_source().drain().map_err(UnpackError::Read)?;
    let mut applied = layer.applied;
    applied.inodes = layer.tree.inodes();
    applied.implied = layer.tree.implied;
    Ok(applied)
}

struct Layer<'l, 'a> {
    tree: Tree,
    limits: &'l Limits,
    /// Times of directories, set at the end: making things in them changes them.
    dirs: HashMap<Vec<u8>, (i64, u32)>,
    applied: AppliedLayer,
    index: SharedIndex<'a>,
}

type Reader<'a, R> = TarReader<Recorded<'a, R>>;

impl<'a> Layer<'_, 'a> {
    fn place<R: BufRead>(&mut self, reader: &mut Reader<'_, R>, entry: &Entry) -> UnpackResult<()> {
        let components = self.limits.components(&entry.path)?;
        // Whiteouts and pseudo files of aufs, but for the one mark OCI took over, are no part of a layer.
        let own_mark = |part: &&[u8]| part.starts_with(b".wh..wh.");
        let opaque = components.last() == Some(&&b".wh..wh..opq"[..]);
        let last = components.len() - usize::from(opaque);
        if components[..last].iter().any(own_mark) || is_overlay_mark(entry) {
            self.applied.skipped += 1;
            return Ok(());
        }
        self.applied.entries += 1;
        let Some((&name, parents)) = components.split_last() else {
            return self.place_root(entry);
        };
        let parent = self.tree.directory(parents)?;
        if opaque {
            let dir =
                open_dir(&parent, b".").map_err(|e| disk("open a directory of the layer", "openat", e, &entry.path))?;
            return Ok(make_opaque(dir)?);
        }
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            return self.place_whiteout(&parent, hidden, entry);
        }
        match entry.kind {
            Kind::Directory => self.place_directory(&parent, name, &components, entry),
            Kind::File => self.place_file(reader, &parent, name, entry),
            Kind::HardLink => self.place_hard_link(&parent, name, entry),
            Kind::Symlink if entry.link.is_empty() => {
                Err(UnpackError::malformed(&entry.path, "a symbolic link has no target"))
            }
            Kind::Symlink => {
                self.make(&parent, name, entry, |dir| fs::symlinkat(entry.link.as_slice(), dir, name), "symlinkat")?;
                set_on_name(&parent, name, entry, false)
            }
            Kind::CharDevice => self.place_node(&parent, name, entry, FileType::CharacterDevice),
            Kind::BlockDevice => self.place_node(&parent, name, entry, FileType::BlockDevice),
            Kind::Fifo => self.place_node(&parent, name, entry, FileType::Fifo),
        }
    }

    fn place_root(&mut self, entry: &Entry) -> UnpackResult<()> {
        if entry.kind != Kind::Directory {
            return Err(UnpackError::malformed(&entry.path, "the layer's root is no directory"));
        }
        self.dirs.insert(Vec::new(), entry.mtime);
        set_on_fd(self.tree.root(), entry)
    }

    /// A whiteout hides lower layers only: what this layer itself has at the name stays, a directory made opaque.
    fn place_whiteout(&mut self, parent: &Dir, hidden: &[u8], entry: &Entry) -> UnpackResult<()> {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(UnpackError::malformed(&entry.path, "a whiteout names no file"));
        }
        match stat_name(parent, hidden).map_err(|e| disk("look at", "fstatat", e, &entry.path))? {
            None => {
                make_whiteout(parent, hidden).map_err(|e| disk("make a whiteout", "mknodat", e, &entry.path))?;
                self.tree.count_made(&entry.path)
            }
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let dir = open_dir(parent, hidden)
                    .map_err(|e| disk("open a directory of the layer", "openat", e, &entry.path))?;
                Ok(make_opaque(dir)?)
            }
            Some(_) => Ok(()),
        }
    }

    fn place_directory(&mut self, parent: &Dir, name: &[u8], components: &[&[u8]], entry: &Entry) -> UnpackResult<()> {
        let mut hides_lower = false;
        if let Some(stat) = stat_name(parent, name).map_err(|e| disk("look at", "fstatat", e, &entry.path))?
            && FileType::from_raw_mode(stat.st_mode) != FileType::Directory
        {
            hides_lower = is_whiteout(&stat);
            self.remove(parent, name)?;
        }
        match fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => self.tree.count_made(&entry.path)?,
            Err(Errno::EXIST) => {}
            Err(e) => return Err(disk("make a directory of the layer", "mkdirat", e, &entry.path)),
        }
        let dir =
            open_dir(parent, name).map_err(|e| disk("open a directory of the layer", "openat", e, &entry.path))?;
        if hides_lower {
            make_opaque(&dir)?;
        }
        set_on_fd(&dir, entry)?;
        let key = components.join(&b'/');
        self.dirs.insert(key.clone(), entry.mtime);
        self.tree.remember(key, Rc::new(Dir::new(dir, parent.path_of(name))));
        Ok(())
    }

    fn place_file<R: BufRead>(
        &mut self,
        reader: &mut Reader<'_, R>,
        parent: &Dir,
        name: &[u8],
        entry: &Entry,
    ) -> UnpackResult<()> {
        self.applied.bytes = self.applied.bytes.saturating_add(entry.size);
        if self.applied.bytes > self.limits.max_bytes {
            return Err(UnpackError::too_large(&entry.path, "bytes of files", self.limits.max_bytes));
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            self.make(parent, name, entry, |dir| fs::openat(dir, name, flags, Mode::from_raw_mode(0o600)), "openat")?;
        let index = self.indexed(reader, &parent.path_of(name), entry.size);
        match &entry.sparse {
            None => {
                if let Some(index) = &index {
                    index.borrow_mut().data(0, entry.size);
                }
                write_from(reader, &file, entry, entry.size, None)?;
            }
            Some(segments) => {
                for &(offset, length) in segments {
                    if let Some(index) = &index {
                        index.borrow_mut().data(offset, length);
                    }
                    write_from(reader, &file, entry, length, Some(offset))?;
                }
                fs::ftruncate(&file, entry.size).map_err(|e| disk("set the size of", "ftruncate", e, &entry.path))?;
            }
        }
        reader.source_mut().elsewhere(false);
        set_on_fd(&file, entry)?;
        fs::futimens(&file, &times(entry.mtime)).map_err(|e| disk("set the times of", "futimens", e, &entry.path))
    }

    /// Says to the index where the contents go that come now: it, if there is one and the path can be opened again.
    fn indexed<R: BufRead>(&self, reader: &mut Reader<'_, R>, path: &[u8], size: u64) -> SharedIndex<'a> {
        let index = self.index.as_ref().filter(|_| IndexWriter::can_name(path))?;
        index.borrow_mut().file(path, size);
        reader.source_mut().elsewhere(true);
        Some(Rc::clone(index))
    }

    /// Links to what this layer has; the target's last component is not followed.
    fn place_hard_link(&mut self, parent: &Dir, name: &[u8], entry: &Entry) -> UnpackResult<()> {
        let absent = || UnpackError::malformed(&entry.path, "a hard link's target is not in this layer");
        let target = self.limits.components(&entry.link)?;
        let (&target_name, target_parents) = target.split_last().ok_or_else(absent)?;
        let target_dir = match self.tree.existing(target_parents) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(absent()),
            Err(e) => return Err(disk("open a directory of the layer", "openat2", e, &entry.link)),
        };
        let stat =
            |dir: BorrowedFd<'_>, name| stat_name(dir, name).map_err(|e| disk("look at", "fstatat", e, &entry.path));
        let target_stat = stat(target_dir.as_fd(), target_name)?.ok_or_else(absent)?;
        if FileType::from_raw_mode(target_stat.st_mode) == FileType::Directory {
            return Err(UnpackError::malformed(&entry.path, "a hard link's target is a directory"));
        }
        if let Some(there) = stat(parent.as_fd(), name)? {
            if (there.st_dev, there.st_ino) == (target_stat.st_dev, target_stat.st_ino) {
                return Ok(());
            }
            self.remove(parent, name)?;
        }
        match fs::linkat(&target_dir, target_name, parent, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Err(absent()),
            done => done.map_err(|e| disk("make a hard link", "linkat", e, &entry.path)),
        }
    }

    fn place_node(&mut self, parent: &Dir, name: &[u8], entry: &Entry, kind: FileType) -> UnpackResult<()> {
        let device = if kind == FileType::Fifo { 0 } else { device_number(entry)? };
        self.make(parent, name, entry, |dir| fs::mknodat(dir, name, kind, Mode::empty(), device), "mknodat")?;
        set_on_name(parent, name, entry, true)
    }

    /// Makes something that must be new; what an earlier entry left at the name is removed first.
    fn make<T>(
        &mut self,
        parent: &Dir,
        name: &[u8],
        entry: &Entry,
        make: impl Fn(&Dir) -> Result<T, Errno>,
        syscall: &'static str,
    ) -> UnpackResult<T> {
        let mut made = make(parent);
        if matches!(made, Err(Errno::EXIST)) {
            self.remove(parent, name)?;
            made = make(parent);
        }
        let made = made.map_err(|e| disk("make", syscall, e, &entry.path))?;
        self.tree.count_made(&entry.path)?;
        Ok(made)
    }

    fn remove(&mut self, parent: &Dir, name: &[u8]) -> UnpackResult<()> {
        self.tree.forget();
        if let Some(index) = &self.index
            && may_have_contents(parent, name)?
        {
            return index.borrow_mut().keep(parent, name);
        }
        let removed = remove_name(parent, name)?;
        self.tree.count_removed(removed);
        Ok(())
    }

    fn set_directory_times(&mut self) -> UnpackResult<()> {
        for (path, mtime) in std::mem::take(&mut self.dirs) {
            let components: Vec<&[u8]> = path.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
            let failed = |e| disk("set the times of", "utimensat", e, &path);
            let Some((&name, parents)) = components.split_last() else {
                fs::futimens(self.tree.root(), &times(mtime)).map_err(failed)?;
                continue;
            };
            // Replaced by a later entry, it is not this directory's time any more.
            let parent = match self.tree.existing(parents) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                found => found.map_err(failed)?,
            };
            match stat_name(&parent, name).map_err(failed)? {
                Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    fs::utimensat(&parent, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether something is, or may hold, a file whose contents an index refers to.
fn may_have_contents(parent: &Dir, name: &[u8]) -> UnpackResult<bool> {
    let stat = stat_name(parent, name).map_err(|e| disk("look at", "fstatat", e, name))?;
    let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
    Ok(matches!(kind, Some(FileType::RegularFile | FileType::Directory)))
}

/// A device 0, 0 would be a whiteout to overlayfs.
fn is_overlay_mark(entry: &Entry) -> bool {
    entry.kind == Kind::CharDevice && entry.device == (0, 0)
}

fn device_number(entry: &Entry) -> UnpackResult<u64> {
    let (major, minor) = entry.device;
    // The kernel's dev_t has 12 and 20 bits.
    if major >= 1 << 12 || minor >= 1 << 20 {
        return Err(UnpackError::malformed(&entry.path, "a device number is out of range"));
    }
    Ok(fs::makedev(major, minor))
}

/// Writes a number of bytes of the entry's contents, straight from the source's buffer.
fn write_from<R: BufRead>(
    reader: &mut Reader<'_, R>,
    file: impl AsFd,
    entry: &Entry,
    length: u64,
    offset: Option<u64>,
) -> UnpackResult<()> {
    let mut done = 0_u64;
    while done < length {
        let piece = reader.data()?;
        let left = usize::try_from(length - done).unwrap_or(usize::MAX);
        let piece = &piece[..piece.len().min(left).min(WRITE_BYTES)];
        if piece.is_empty() {
            return Err(UnpackError::malformed(&entry.path, "an entry has less contents than its size"));
        }
        let written = match offset {
            None => rustix::io::write(&file, piece),
            Some(offset) => rustix::io::pwrite(&file, piece, offset + done),
        };
        match written {
            Ok(count) => {
                reader.take(count);
                done += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(disk("write", "write", e, &entry.path)),
        }
    }
    Ok(())
}
