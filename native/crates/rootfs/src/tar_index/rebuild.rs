//! Puts a layer's tar together again from its index and its files. Whether it is the same is for its digest to say.

use super::{DATA, END, FILE, MAGIC, MAX_PATH, MOVED, RAW, RAW_BYTES, REPLACED};
use crate::error::printable;
use podwright_sys::errno::SysError;
use rustix::fs::{self, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of contents read at a time.
const PIECE: usize = 256 << 10;

/// Why a tar could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The index is not one, or ends early.
    #[error("the tar index is damaged: {0}")]
    Damaged(&'static str),
    /// A file of the layer is not what was unpacked.
    #[error("{path} in the layer {why}")]
    Changed {
        /// Below `diff/`, printable.
        path: String,
        /// "is gone", "has another size".
        why: &'static str,
    },
    /// The index cannot be read.
    #[error("read the tar index: {0}")]
    Index(#[source] io::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Disk(#[from] SysError),
    /// The tar cannot be written on.
    #[error("write: {0}")]
    Write(#[source] io::Error),
}

type RebuildResult<T> = Result<T, RebuildError>;

/// Writes the tar of the layer whose directory (that of `diff/`) is given: its length. `index` begins to read the
/// index anew at each call; it is read twice where files of the layer were replaced.
///
/// # Errors
/// A damaged index, a changed file, or failures of reading and writing.
pub fn rebuild_tar<I: Read>(
    layer: &Path,
    mut index: impl FnMut() -> io::Result<I>,
    out: &mut dyn Write,
) -> RebuildResult<u64> {
    let moves =
        if layer.join(REPLACED).exists() { read_moves(index().map_err(RebuildError::Index)?)? } else { Moves::new() };
    let records = Records::begin(index().map_err(RebuildError::Index)?)?;
    let mut rebuild = Rebuild { layer, diff: open_dir(layer, "diff")?, replaced: None, moves, files: 0, bytes: 0, out };
    rebuild.run(records)
}

/// For each replaced path the moves of what was there: files named before, and the number under `replaced/`.
type Moves = HashMap<Vec<u8>, Vec<(u64, u64)>>;

fn read_moves<I: Read>(index: I) -> RebuildResult<Moves> {
    let (mut records, mut moves, mut files) = (Records::begin(index)?, Moves::new(), 0);
    loop {
        match records.next()? {
            Record::End(_) => return Ok(moves),
            Record::File { .. } => files += 1,
            Record::Moved { number, path } => moves.entry(path).or_default().push((files, number)),
            Record::Raw | Record::Data { .. } => {}
        }
    }
}

struct Rebuild<'a> {
    layer: &'a Path,
    diff: OwnedFd,
    replaced: Option<OwnedFd>,
    moves: Moves,
    files: u64,
    bytes: u64,
    out: &'a mut dyn Write,
}

/// A file that is open, and its path for messages.
struct Open {
    file: File,
    path: Vec<u8>,
}

impl Rebuild<'_> {
    fn run<I: Read>(&mut self, mut records: Records<I>) -> RebuildResult<u64> {
        let mut current: Option<Open> = None;
        let mut buffer = vec![0; PIECE];
        loop {
            match records.next()? {
                Record::Raw => self.write(&records.bytes)?,
                Record::File { size, path } => {
                    self.files += 1;
                    current = Some(self.open(path, size)?);
                }
                Record::Data { offset, length } => {
                    let open = current.as_ref().ok_or(RebuildError::Damaged("contents of no file"))?;
                    self.copy(open, (offset, length), &mut buffer)?;
                }
                Record::Moved { .. } => {}
                Record::End(bytes) if bytes == self.bytes => return Ok(bytes),
                Record::End(_) => return Err(RebuildError::Damaged("its parts have another length than the tar")),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> RebuildResult<()> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(RebuildError::Write)
    }

    fn copy(&mut self, open: &Open, (mut offset, mut left): (u64, u64), buffer: &mut [u8]) -> RebuildResult<()> {
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = &mut buffer[..wanted];
            match open.file.read_exact_at(piece, offset) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(changed(&open.path, "is too short")),
                Err(e) => return Err(SysError::from_io("read", "pread64", &e, printable(&open.path)).into()),
            }
            self.write(piece)?;
            offset += wanted as u64;
            left -= wanted as u64;
        }
        Ok(())
    }

    fn open(&mut self, path: Vec<u8>, size: u64) -> RebuildResult<Open> {
        let file = match self.moved(&path) {
            None => open_in(&self.diff, &path, &path)?,
            Some((number, rest)) => {
                let inside = [number.to_string().as_bytes(), rest].concat();
                if self.replaced.is_none() {
                    self.replaced = Some(open_dir(self.layer, REPLACED)?);
                }
                let replaced = self.replaced.as_ref().unwrap_or(&self.diff);
                open_in(replaced, &inside, &path)?
            }
        };
        let stat =
            fs::fstat(&file).map_err(|e| SysError::new("look at", "fstat", e.raw_os_error(), printable(&path)))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(changed(&path, "is no file any more"));
        }
        if stat.st_size.unsigned_abs() != size {
            return Err(changed(&path, "has another size"));
        }
        Ok(Open { file: File::from(file), path })
    }

    /// Where a file named just now was moved to: the first move after it of its path or of a directory it is in.
    fn moved<'p>(&self, path: &'p [u8]) -> Option<(u64, &'p [u8])> {
        if self.moves.is_empty() {
            return None;
        }
        let ends = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| {
            let list = self.moves.get(&path[..end])?;
            let &(files, number) = list.iter().find(|&&(files, _)| files >= self.files)?;
            Some((files, number, &path[end..]))
        })
        // Of two moves between the same files the earlier counts: it has the lower number.
        .min_by_key(|&(files, number, _)| (files, number))
        .map(|(_, number, rest)| (number, rest))
    }
}

fn changed(path: &[u8], why: &'static str) -> RebuildError {
    RebuildError::Changed { path: printable(path), why }
}

fn open_dir(layer: &Path, name: &str) -> RebuildResult<OwnedFd> {
    let path = layer.join(name);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match fs::open(&path, flags, Mode::empty()) {
        Ok(dir) => Ok(dir),
        Err(Errno::NOENT | Errno::NOTDIR) => Err(changed(name.as_bytes(), "is gone")),
        Err(e) => Err(SysError::new("open", "open", e.raw_os_error(), path.to_string_lossy()).into()),
    }
}

fn open_in(dir: &OwnedFd, path: &[u8], shown: &[u8]) -> RebuildResult<OwnedFd> {
    // NONBLOCK: a pipe in a file's place must not hold anybody up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match fs::openat2(dir, path, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(file),
        Err(Errno::NOENT | Errno::NOTDIR) => Err(changed(shown, "is gone")),
        Err(Errno::LOOP | Errno::NXIO) => Err(changed(shown, "is no file any more")),
        Err(e) => Err(SysError::new("open", "openat2", e.raw_os_error(), printable(shown)).into()),
    }
}

enum Record {
    /// The bytes are in [`Records::bytes`].
    Raw,
    File {
        size: u64,
        path: Vec<u8>,
    },
    Data {
        offset: u64,
        length: u64,
    },
    Moved {
        number: u64,
        path: Vec<u8>,
    },
    End(u64),
}

struct Records<I> {
    index: I,
    bytes: Vec<u8>,
}

impl<I: Read> Records<I> {
    fn begin(mut index: I) -> RebuildResult<Self> {
        let mut magic = [0; MAGIC.len()];
        fill(&mut index, &mut magic)?;
        if magic != *MAGIC {
            return Err(RebuildError::Damaged("it is not of a version that is known here"));
        }
        Ok(Self { index, bytes: Vec::with_capacity(RAW_BYTES) })
    }

    fn next(&mut self) -> RebuildResult<Record> {
        let mut tag = [0];
        fill(&mut self.index, &mut tag)?;
        Ok(match tag[0] {
            RAW => {
                let length = self.number()?;
                self.bytes = self.take(length, RAW_BYTES)?;
                Record::Raw
            }
            FILE => Record::File { size: self.number()?, path: self.path()? },
            DATA => Record::Data { offset: self.number()?, length: self.number()? },
            MOVED => Record::Moved { number: self.number()?, path: self.path()? },
            END => Record::End(self.number()?),
            _ => return Err(RebuildError::Damaged("a record is of an unknown kind")),
        })
    }

    fn number(&mut self) -> RebuildResult<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            fill(&mut self.index, &mut byte)?;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RebuildError::Damaged("a number is too long"))
    }

    fn path(&mut self) -> RebuildResult<Vec<u8>> {
        let length = self.number()?;
        self.take(length, MAX_PATH * 2)
    }

    fn take(&mut self, length: u64, max: usize) -> RebuildResult<Vec<u8>> {
        let length = usize::try_from(length).ok().filter(|&l| l <= max);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(length.ok_or(RebuildError::Damaged("a record is too long"))?, 0);
        fill(&mut self.index, &mut bytes)?;
        Ok(bytes)
    }
}

fn fill(index: &mut impl Read, bytes: &mut [u8]) -> RebuildResult<()> {
    index.read_exact(bytes).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => RebuildError::Damaged("it ends early"),
        _ => RebuildError::Index(e),
    })
}
