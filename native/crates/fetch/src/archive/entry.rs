//! The contents of one file of an archive.

use crate::blob::{MAX_IN_MEMORY, disk};
use crate::cause::{Cause, FetchError};
use crate::piece::{Piece, Pool};
use crate::request::EntryAt;
use podwright_sys::errno::SysError;
use rustix::fs::{self, FileType, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Reads an entry piece by piece.
pub(crate) struct EntryReader {
    file: File,
    name: String,
    offset: u64,
    left: u64,
}

impl EntryReader {
    /// Opens the archive for one entry: a tar at an offset, or a directory's file by name, through no link.
    pub(crate) fn open(archive: &Path, entry: &EntryAt) -> Result<Self, Cause> {
        let archive_file = open_archive(archive)?;
        let file = if is_directory(&archive_file, archive)? {
            open_in(&archive_file, archive, &entry.name)?
        } else {
            archive_file
        };
        let size = file.metadata().map_err(|e| failed("look at", "fstat", &e, archive))?.len();
        if entry.offset.checked_add(entry.size).is_none_or(|end| end > size) {
            return Err(Cause::Archive(format!("{} is cut off", entry.name)));
        }
        Ok(Self { file, name: entry.name.clone(), offset: entry.offset, left: entry.size })
    }

    /// The next piece, of the pool; `None` at the end.
    pub(crate) fn piece(&mut self, pool: &Pool) -> Result<Option<Piece>, Cause> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = pool.piece()?;
        let room = piece.room();
        let length = room.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.file
            .read_exact_at(&mut room[..length], self.offset)
            .map_err(|e| SysError::from_io("read archive", "pread", &e, self.name.as_str()))?;
        piece.filled(length);
        self.offset += length as u64;
        self.left -= length as u64;
        Ok(Some(piece))
    }

    /// All of it.
    pub(crate) fn all(&mut self) -> Result<Vec<u8>, Cause> {
        let (pool, mut data) = (Pool::default(), Vec::new());
        while let Some(piece) = self.piece(&pool)? {
            data.extend_from_slice(&piece);
        }
        Ok(data)
    }
}

/// A small file of an archive, at most 8 MiB.
pub fn read_entry(archive: &Path, entry: &EntryAt) -> Result<Vec<u8>, FetchError> {
    let read = || {
        if entry.size > MAX_IN_MEMORY {
            return Err(Cause::TooLarge { what: "bytes of a file in memory", max: MAX_IN_MEMORY });
        }
        EntryReader::open(archive, entry)?.all()
    };
    let from = archive.display().to_string();
    read().map_err(|cause| FetchError { operation: "read", object: entry.name.clone(), from, cause: Box::new(cause) })
}

/// A regular file or a directory; anything else (a device, a pipe) is not even opened for reading.
pub(crate) fn open_archive(path: &Path) -> Result<File, Cause> {
    let fd = fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| disk("open archive", "open", e, path))?;
    let stat = fs::fstat(&fd).map_err(|e| disk("look at archive", "fstat", e, path))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory => Ok(File::from(fd)),
        _ => Err(Cause::Archive("it is neither a file nor a directory".to_owned())),
    }
}

pub(crate) fn is_directory(file: &File, path: &Path) -> Result<bool, Cause> {
    Ok(file.metadata().map_err(|e| failed("look at", "fstat", &e, path))?.is_dir())
}

/// A regular file below a directory, through no link.
pub(crate) fn open_in(dir: &File, archive: &Path, name: &str) -> Result<File, Cause> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let path = archive.join(name);
    let fd = fs::openat2(dir, name, flags, Mode::empty(), resolve).map_err(|e| disk("open", "openat2", e, &path))?;
    let file = File::from(fd);
    let regular = file.metadata().map_err(|e| failed("look at", "fstat", &e, &path))?.is_file();
    if regular { Ok(file) } else { Err(Cause::Archive(format!("{name} is no regular file"))) }
}

pub(crate) fn failed(operation: &'static str, syscall: &'static str, error: &std::io::Error, path: &Path) -> Cause {
    Cause::Disk(SysError::from_io(operation, syscall, error, path.to_string_lossy()))
}
