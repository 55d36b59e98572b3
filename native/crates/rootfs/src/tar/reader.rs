//! Entries out of a stream of blocks: merges headers, long names and pax records, bounds them.

use super::header::{self, BLOCK, Header};
pub use super::pax::Xattr;
use super::pax::{self, MapPlace, Pax};
use super::sparse::{self, MapInData};
use crate::error::{UnpackError, UnpackResult};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link to `Entry::link`.
    Symlink,
    /// Hard link to the entry `Entry::link`.
    HardLink,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// Named pipe.
    Fifo,
}

/// One entry with everything merged; paths are as written, not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path as written.
    pub path: Vec<u8>,
    /// Target of a link as written.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid, sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds, nanoseconds.
    pub mtime: (i64, u32),
    /// Size of the file (of a sparse one: with its holes).
    pub size: u64,
    /// Bytes stored in the archive.
    pub stored: u64,
    /// Major and minor of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
    /// Segments (offset, length) of a sparse file, in order; their lengths add up to `stored`.
    pub sparse: Option<Vec<(u64, u64)>>,
}

/// Where a tar's bytes come from.
pub trait TarSource: BufRead {
    /// Passes over bytes; a source that can seek does.
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

/// A plain file: passes over contents by seeking.
#[derive(Debug)]
pub struct FileSource {
    file: BufReader<File>,
    /// Where reading stands, and where the file ends: seeking beyond is a truncated archive.
    position: u64,
    end: u64,
}

impl FileSource {
    /// Reads from the start of the file.
    pub fn new(file: File) -> io::Result<Self> {
        let end = file.metadata()?.len();
        Ok(Self { file: BufReader::new(file), position: 0, end })
    }
}

impl Read for FileSource {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buf)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl BufRead for FileSource {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.file.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount as u64;
        self.file.consume(amount);
    }
}

impl TarSource for FileSource {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let target = self.position.checked_add(count).filter(|&t| t <= self.end).ok_or(ErrorKind::UnexpectedEof)?;
        let step = i64::try_from(count).map_err(|_| ErrorKind::UnexpectedEof)?;
        self.file.seek_relative(step)?;
        self.position = target;
        Ok(())
    }
}

/// Bounds on what one entry may carry besides its contents.
#[derive(Debug, Clone, Copy)]
pub struct MetaLimits {
    /// Headers of all kinds in the archive, extended ones counted too.
    pub max_entries: u64,
    /// A path, or a link's target.
    pub max_path_bytes: usize,
    /// Extended attributes of an entry, names and values together.
    pub max_xattr_bytes: usize,
}

/// Reads entries one after the other; contents by [`TarReader::data`] between two of them.
#[derive(Debug)]
pub struct TarReader<S> {
    source: S,
    limits: MetaLimits,
    headers: u64,
    /// Contents of the current entry not read yet, and the padding after them.
    remaining: u64,
    padding: u64,
    position: u64,
    current: Vec<u8>,
}

/// Long names and pax records that stand before the header they belong to.
#[derive(Default)]
struct Ahead {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl<S: TarSource> TarReader<S> {
    /// Reads from the start of an archive.
    pub fn new(source: S, limits: MetaLimits) -> Self {
        Self { source, limits, headers: 0, remaining: 0, padding: 0, position: 0, current: Vec::new() }
    }

    /// The source, to be told things; bytes are the reader's to take.
    pub(crate) fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// The source, for draining what stands after the end mark.
    pub fn into_source(self) -> S {
        self.source
    }

    /// Offset in the archive of the next byte to be read: of the contents right after [`TarReader::next_entry`].
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next entry; `None` at the end mark, or where the archive ends without one.
    pub fn next_entry(&mut self) -> UnpackResult<Option<Entry>> {
        let mut ahead = Ahead::default();
        loop {
            self.pass_over_rest()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            self.headers += 1;
            if self.headers > self.limits.max_entries {
                return Err(self.too_large("entries", self.limits.max_entries));
            }
            match header.typeflag {
                b'x' | b'X' => {
                    let data = self.meta(&header)?;
                    ahead.pax = Some(pax::parse(&data).map_err(|reason| self.malformed(reason))?);
                }
                b'L' => ahead.path = Some(self.long_name(&header)?),
                b'K' => ahead.link = Some(self.long_name(&header)?),
                // Global records are ignored, as Docker and containerd do; a volume label names no file.
                b'g' | b'V' => self.contents_follow(header.size)?,
                _ => return self.merge(header, ahead).map(Some),
            }
        }
    }

    /// The next piece of the current entry's contents, at most as long as the source has at hand; empty at the end.
    pub fn data(&mut self) -> UnpackResult<&[u8]> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        let remaining = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        match self.source.fill_buf() {
            Ok([]) => Err(UnpackError::malformed(&self.current, TRUNCATED)),
            Ok(there) => Ok(&there[..there.len().min(remaining)]),
            Err(e) => Err(UnpackError::Read(e)),
        }
    }

    /// Marks bytes of [`TarReader::data`] as taken.
    pub fn take(&mut self, count: usize) {
        self.source.consume(count);
        self.remaining -= count as u64;
        self.position += count as u64;
    }

    fn pass_over_rest(&mut self) -> UnpackResult<()> {
        let count = self.remaining.checked_add(self.padding).ok_or_else(|| self.malformed(TRUNCATED))?;
        self.source.skip(count).map_err(|e| self.read_failed(e))?;
        self.position += count;
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }

    /// A header, or `None` at the end: two blocks of zeros, one at the very end, or nothing at all.
    fn header(&mut self) -> UnpackResult<Option<Header>> {
        let Some(block) = self.block()? else {
            return Ok(None);
        };
        if let Some(header) = header::parse(&block).map_err(|reason| self.malformed(reason))? {
            return Ok(Some(header));
        }
        match self.block()? {
            Some(block) if block.iter().any(|&b| b != 0) => {
                Err(self.malformed("a lone block of zeros stands between entries"))
            }
            _ => Ok(None),
        }
    }

    /// A whole block; `None` where the source ends before its first byte.
    fn block(&mut self) -> UnpackResult<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.malformed(TRUNCATED)),
                Ok(count) => filled += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(UnpackError::Read(e)),
            }
        }
        self.position += BLOCK as u64;
        Ok(Some(block))
    }

    fn inner_block(&mut self) -> UnpackResult<[u8; BLOCK]> {
        self.block()?.ok_or_else(|| self.malformed(TRUNCATED))
    }

    fn contents_follow(&mut self, size: u64) -> UnpackResult<()> {
        if size > i64::MAX as u64 {
            return Err(self.malformed("an entry's size is out of range"));
        }
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    /// Contents of a header that describes the next one, whole in memory.
    fn meta(&mut self, header: &Header) -> UnpackResult<Vec<u8>> {
        // Room for the records' keys besides names and attributes.
        let max = self.limits.max_path_bytes * 2 + self.limits.max_xattr_bytes + (64 << 10);
        if header.size > max as u64 {
            return Err(self.too_large("bytes of an extended header", max as u64));
        }
        self.contents_follow(header.size)?;
        let mut data = Vec::with_capacity(header.size as usize);
        loop {
            let piece = self.data()?;
            if piece.is_empty() {
                return Ok(data);
            }
            data.extend_from_slice(piece);
            let count = piece.len();
            self.take(count);
        }
    }

    fn long_name(&mut self, header: &Header) -> UnpackResult<Vec<u8>> {
        let mut name = self.meta(header)?;
        if let Some(end) = name.iter().position(|&b| b == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    fn merge(&mut self, header: Header, ahead: Ahead) -> UnpackResult<Entry> {
        let mut pax = ahead.pax.unwrap_or_default();
        let path = pax.sparse.name.take().or(pax.path.take()).or(ahead.path).unwrap_or(header.path);
        self.current.clone_from(&path);
        let link = pax.link.take().or(ahead.link).unwrap_or(header.link);
        if path.len().max(link.len()) > self.limits.max_path_bytes {
            return Err(self.too_large("bytes of a path", self.limits.max_path_bytes as u64));
        }
        let xattr_bytes: usize = pax.xattrs.iter().map(|x| x.name.len() + x.value.len()).sum();
        if xattr_bytes > self.limits.max_xattr_bytes {
            return Err(self.too_large("bytes of extended attributes", self.limits.max_xattr_bytes as u64));
        }
        let kind = kind(header.typeflag, &path).ok_or_else(|| self.malformed("an entry is of an unknown type"))?;
        let stored = if kind == Kind::File { pax.size.unwrap_or(header.size) } else { 0 };
        self.contents_follow(stored)?;
        let mut entry = Entry {
            path,
            link,
            kind,
            mode: header.mode,
            uid: self.id(pax.uid.unwrap_or(header.uid))?,
            gid: self.id(pax.gid.unwrap_or(header.gid))?,
            mtime: pax.mtime.unwrap_or((header.mtime, 0)),
            size: stored,
            stored,
            device: (self.device(header.device.0)?, self.device(header.device.1)?),
            xattrs: std::mem::take(&mut pax.xattrs),
            sparse: None,
        };
        if kind == Kind::File {
            self.sparse(&mut entry, header.sparse, pax.sparse)?;
        }
        Ok(entry)
    }

    fn sparse(&mut self, entry: &mut Entry, gnu: Option<header::GnuSparse>, pax: pax::PaxSparse) -> UnpackResult<()> {
        let (map, real_size) = match (gnu, pax.form()) {
            (Some(mut gnu), _) => {
                while gnu.extended {
                    let block = self.inner_block()?;
                    gnu.extended =
                        header::gnu_sparse_extension(&block, &mut gnu.map).map_err(|reason| self.malformed(reason))?;
                    if gnu.map.len() > 1 << 20 {
                        return Err(self.malformed("a sparse map has too many segments"));
                    }
                }
                (gnu.map, gnu.real_size)
            }
            (None, Some(place)) => {
                let real_size = pax.real_size.ok_or_else(|| self.malformed("a sparse file has no size"))?;
                let map = match place {
                    MapPlace::InHeader => pax.map.unwrap_or_default(),
                    MapPlace::InData => self.map_before_data()?,
                };
                (map, real_size)
            }
            (None, None) => return Ok(()),
        };
        // Segments of no bytes mark a hole at the end (GNU tar).
        let map: Vec<_> = map.into_iter().filter(|&(_, length)| length > 0).collect();
        sparse::check(&map, real_size, self.remaining).map_err(|reason| self.malformed(reason))?;
        entry.stored = self.remaining;
        entry.size = real_size;
        entry.sparse = Some(map);
        Ok(())
    }

    fn map_before_data(&mut self) -> UnpackResult<Vec<(u64, u64)>> {
        let mut map = MapInData::default();
        loop {
            self.remaining =
                self.remaining.checked_sub(BLOCK as u64).ok_or_else(|| self.malformed("a sparse map is malformed"))?;
            let block = self.inner_block()?;
            if map.take(&block).map_err(|reason| self.malformed(reason))? {
                return Ok(map.map);
            }
        }
    }

    fn id(&self, value: u64) -> UnpackResult<u32> {
        // 2^32-1 means "unchanged" to chown(2).
        u32::try_from(value)
            .ok()
            .filter(|&v| v != u32::MAX)
            .ok_or_else(|| self.malformed("an owner's id is out of range"))
    }

    fn device(&self, value: u64) -> UnpackResult<u32> {
        u32::try_from(value).map_err(|_| self.malformed("a device number is out of range"))
    }

    fn malformed(&self, reason: &'static str) -> UnpackError {
        UnpackError::malformed(&self.current, reason)
    }

    fn too_large(&self, what: &'static str, max: u64) -> UnpackError {
        UnpackError::too_large(&self.current, what, max)
    }

    fn read_failed(&self, error: io::Error) -> UnpackError {
        if error.kind() == ErrorKind::UnexpectedEof && error.get_ref().is_none() {
            self.malformed(TRUNCATED)
        } else {
            UnpackError::Read(error)
        }
    }
}

const TRUNCATED: &str = "the archive ends within an entry";

fn kind(typeflag: u8, path: &[u8]) -> Option<Kind> {
    Some(match typeflag {
        // Before ustar a directory was a file whose name ends in a slash.
        b'0' | 0 if path.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return None,
    })
}
