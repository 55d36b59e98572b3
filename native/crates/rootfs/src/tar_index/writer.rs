//! Writes an index while a layer is unpacked.

use super::{DATA, END, FILE, MAGIC, MAX_PATH, MOVED, RAW, RAW_BYTES, REPLACED};
use crate::error::UnpackResult;
use crate::tree::{Dir, disk};
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

/// Replaced paths at most, and their bytes: rebuilding holds them in memory. A layer with more (no tool makes one)
/// has no index.
const MAX_MOVED: u64 = 65_536;
const MAX_MOVED_BYTES: usize = 16 << 20;

/// An index in the making. A failure to write is kept and told by [`IndexWriter::finish`].
pub struct IndexWriter<'a> {
    out: &'a mut dyn Write,
    /// The directory that has `diff/`.
    layer: OwnedFd,
    replaced: Option<OwnedFd>,
    raw: Vec<u8>,
    bytes: u64,
    moved: u64,
    moved_bytes: usize,
    failed: Option<io::Error>,
}

impl<'a> IndexWriter<'a> {
    /// Writes to `out` about the layer whose directory (that of `diff/`) is open.
    pub fn new(out: &'a mut dyn Write, layer: OwnedFd) -> Self {
        let failed = out.write_all(MAGIC).err();
        let raw = Vec::with_capacity(RAW_BYTES);
        Self { out, layer, replaced: None, raw, bytes: 0, moved: 0, moved_bytes: 0, failed }
    }

    /// Bytes of the tar that are nowhere else.
    pub(crate) fn raw(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(RAW_BYTES - self.raw.len()));
            self.raw.extend_from_slice(now);
            bytes = later;
            if self.raw.len() == RAW_BYTES {
                self.flush();
            }
        }
    }

    /// Whether contents of a file at this path can be read back; else they are to be given as raw bytes.
    pub(crate) fn can_name(path: &[u8]) -> bool {
        path.len() <= MAX_PATH
    }

    /// The contents that follow are in this file, which has `size` bytes in the end.
    pub(crate) fn file(&mut self, path: &[u8], size: u64) {
        self.flush();
        self.record(FILE, &[size, path.len() as u64], path);
    }

    /// Bytes of the tar that are at this offset of the file.
    pub(crate) fn data(&mut self, offset: u64, length: u64) {
        self.flush();
        self.bytes += length;
        self.record(DATA, &[offset, length], &[]);
    }

    /// Keeps a file or directory that a later entry replaces, with all that is in it.
    pub(crate) fn keep(&mut self, parent: &Dir, name: &[u8]) -> UnpackResult<()> {
        let path = parent.path_of(name);
        let number = self.moved;
        self.moved += 1;
        self.moved_bytes += path.len();
        let kept = self.replaced().map_err(|e| disk("make a directory of the layer", "mkdirat", e, &path))?;
        fs::renameat(parent, name, kept, number.to_string())
            .map_err(|e| disk("keep a replaced file", "renameat", e, &path))?;
        self.flush();
        self.record(MOVED, &[number, path.len() as u64], &path);
        Ok(())
    }

    /// Ends the index. False if the layer cannot have one: `out` is to be thrown away then.
    ///
    /// # Errors
    /// The first failure to write.
    pub fn finish(mut self) -> io::Result<bool> {
        self.flush();
        let bytes = self.bytes;
        self.record(END, &[bytes], &[]);
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.moved <= MAX_MOVED && self.moved_bytes <= MAX_MOVED_BYTES),
        }
    }

    fn replaced(&mut self) -> Result<&OwnedFd, Errno> {
        if self.replaced.is_none() {
            match fs::mkdirat(&self.layer, REPLACED, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            self.replaced = Some(fs::openat(&self.layer, REPLACED, flags, Mode::empty())?);
        }
        self.replaced.as_ref().ok_or(Errno::NOENT)
    }

    fn flush(&mut self) {
        if self.raw.is_empty() {
            return;
        }
        let raw = std::mem::take(&mut self.raw);
        self.record(RAW, &[raw.len() as u64], &raw);
        self.raw = raw;
        self.raw.clear();
    }

    fn record(&mut self, tag: u8, numbers: &[u64], bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let mut head = [0_u8; 1 + 2 * 10];
        let mut used = 1;
        head[0] = tag;
        for &number in numbers {
            let mut left = number;
            loop {
                let more = left > 0x7f;
                head[used] = (left & 0x7f) as u8 | if more { 0x80 } else { 0 };
                used += 1;
                left >>= 7;
                if !more {
                    break;
                }
            }
        }
        let written = self.out.write_all(&head[..used]).and_then(|()| self.out.write_all(bytes));
        self.failed = written.err();
    }
}
