//! Writing tar: POSIX.1-2001 (pax), ustar headers with extended records where those do not suffice.

use super::header::BLOCK;
use super::pax::Xattr;
use std::io::{self, Read, Write};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKind {
    /// A regular file; its bytes follow.
    File,
    /// Another name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// An entry to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry<'a> {
    /// What it is.
    pub kind: NewKind,
    /// Its path, relative, a directory's without a slash at the end.
    pub path: &'a [u8],
    /// Target of a link.
    pub link: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size of a file; 0 for anything else.
    pub size: u64,
    /// Of a file with holes: the segments (offset, length) that are written, in order.
    pub sparse: Option<&'a [(u64, u64)]>,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: &'a [Xattr],
}

impl Default for NewEntry<'_> {
    fn default() -> Self {
        Self {
            kind: NewKind::File,
            path: b"",
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            sparse: None,
            mtime: (0, 0),
            device: (0, 0),
            xattrs: &[],
        }
    }
}

/// A tar being written. Without [`TarWriter::finish`] it has no end.
#[derive(Debug)]
pub struct TarWriter<W> {
    out: W,
}

impl<W: Write> TarWriter<W> {
    /// Begins a tar.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes an entry and the bytes of `content`: `entry.size` of them, or those of its segments one after the
    /// other. A file that has become shorter meanwhile is filled up with zeros, one that has grown is cut.
    ///
    /// # Errors
    /// Of reading or of writing.
    pub fn entry(&mut self, entry: &NewEntry<'_>, content: &mut dyn Read) -> io::Result<()> {
        let records = records(entry);
        if !records.is_empty() {
            let mut block = header(b'x', b"PaxHeaders/entry", &NewEntry::default());
            number(&mut block[124..136], records.len() as u64);
            self.block(block)?;
            self.out.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        let stored = stored(entry);
        self.block(header(typeflag(entry.kind), entry.path, entry))?;
        let copied = io::copy(&mut content.take(stored), &mut self.out)?;
        io::copy(&mut io::repeat(0).take(stored - copied), &mut self.out)?;
        self.pad(stored)
    }

    /// Writes the end mark and answers the output.
    ///
    /// # Errors
    /// Of writing.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn block(&mut self, mut block: [u8; BLOCK]) -> io::Result<()> {
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.out.write_all(&block)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = (size % BLOCK as u64) as usize;
        if over == 0 { Ok(()) } else { self.out.write_all(&[0; BLOCK][over..]) }
    }
}

fn typeflag(kind: NewKind) -> u8 {
    match kind {
        NewKind::File => b'0',
        NewKind::HardLink => b'1',
        NewKind::Symlink => b'2',
        NewKind::CharDevice => b'3',
        NewKind::BlockDevice => b'4',
        NewKind::Directory => b'5',
        NewKind::Fifo => b'6',
    }
}

/// Bytes of an entry that are in the tar.
fn stored(entry: &NewEntry<'_>) -> u64 {
    entry.sparse.map_or(entry.size, |segments| segments.iter().map(|(_, length)| length).sum())
}

/// The largest size of eleven octal digits.
const OCTAL_MAX: u64 = 0o77_777_777_777;
/// The largest owner of seven.
const OWNER_MAX: u32 = 0o7_777_777;

fn header(typeflag: u8, path: &[u8], entry: &NewEntry<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    text(&mut block[0..100], path);
    number(&mut block[100..108], (entry.mode & 0o7777).into());
    number(&mut block[108..116], entry.uid.min(OWNER_MAX).into());
    number(&mut block[116..124], entry.gid.min(OWNER_MAX).into());
    number(&mut block[124..136], stored(entry).min(OCTAL_MAX));
    number(&mut block[136..148], u64::try_from(entry.mtime.0).unwrap_or(0).min(OCTAL_MAX));
    block[156] = typeflag;
    text(&mut block[157..257], entry.link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    number(&mut block[329..337], entry.device.0.into());
    number(&mut block[337..345], entry.device.1.into());
    block
}

fn text(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

fn number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
}

/// What does not fit a ustar header, as records of an extended one.
fn records(entry: &NewEntry<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    if entry.path.len() > 100 {
        record(&mut out, b"path", entry.path);
    }
    if entry.link.len() > 100 {
        record(&mut out, b"linkpath", entry.link);
    }
    if stored(entry) > OCTAL_MAX {
        record(&mut out, b"size", stored(entry).to_string().as_bytes());
    }
    if let Some(segments) = entry.sparse {
        // GNU's form 0.1 of sparse files
        let map: Vec<String> = segments.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
        record(&mut out, b"GNU.sparse.size", entry.size.to_string().as_bytes());
        record(&mut out, b"GNU.sparse.name", entry.path);
        record(&mut out, b"GNU.sparse.map", map.join(",").as_bytes());
    }
    for (key, value) in [(b"uid", entry.uid), (b"gid", entry.gid)] {
        if value > OWNER_MAX {
            record(&mut out, key, value.to_string().as_bytes());
        }
    }
    let (seconds, nanos) = entry.mtime;
    if nanos != 0 || seconds < 0 {
        // the fraction counts forward from the second below: -1.5 is second -2 and half a second
        let time = match (seconds, nanos) {
            (seconds, 0) => seconds.to_string(),
            (-1, nanos) => format!("-0.{:09}", 1_000_000_000 - nanos),
            (seconds, nanos) if seconds < 0 => format!("{}.{:09}", seconds + 1, 1_000_000_000 - nanos),
            (seconds, nanos) => format!("{seconds}.{nanos:09}"),
        };
        record(&mut out, b"mtime", time.as_bytes());
    }
    for xattr in entry.xattrs {
        record(&mut out, &[b"SCHILY.xattr.", xattr.name.as_slice()].concat(), &xattr.value);
    }
    out
}

/// `"%d %s=%s\n"`, where the number counts its own digits too.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{MetaLimits, TarReader};
    use super::*;
    use crate::tar_index::Recorded;

    const LIMITS: MetaLimits = MetaLimits { max_entries: 100, max_path_bytes: 4096, max_xattr_bytes: 4096 };

    fn written(entries: &[(NewEntry<'_>, &[u8])]) -> Vec<u8> {
        let mut tar = TarWriter::new(Vec::new());
        for (entry, content) in entries {
            let mut content = *content;
            tar.entry(entry, &mut content).unwrap();
        }
        tar.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let long = vec![b'd'; 180];
        let xattrs = [Xattr { name: b"user.a".to_vec(), value: b"\0=\n".to_vec() }];
        let entries = [
            NewEntry { kind: NewKind::Directory, path: b"dir", mode: 0o1777, ..NewEntry::default() },
            NewEntry {
                path: &long,
                uid: 4_000_000_000,
                gid: 7,
                size: 5,
                mtime: (1_700_000_000, 120),
                xattrs: &xattrs,
                ..NewEntry::default()
            },
            NewEntry { kind: NewKind::HardLink, path: b"hard", link: &long, ..NewEntry::default() },
            NewEntry {
                kind: NewKind::Symlink,
                path: b"soft",
                link: b"/x",
                mtime: (-2, 500_000_000),
                ..NewEntry::default()
            },
            NewEntry { kind: NewKind::BlockDevice, path: b"dev", device: (254, 70_000), ..NewEntry::default() },
            NewEntry { kind: NewKind::Fifo, path: b"fifo", mtime: (-1, 1), ..NewEntry::default() },
            NewEntry { path: b"holes", size: 9000, sparse: Some(&[(4096, 5), (9000, 0)]), ..NewEntry::default() },
        ];
        let tar = written(&entries.clone().map(|e| (e, &b"hello"[..])));
        let mut reader = TarReader::new(Recorded::new(tar.as_slice(), None), LIMITS);
        for expected in entries {
            let entry = reader.next_entry().unwrap().unwrap();
            let found = (entry.path.as_slice(), entry.link.as_slice(), entry.mode, entry.uid, entry.gid);
            assert_eq!(found, (expected.path, expected.link, expected.mode, expected.uid, expected.gid));
            assert_eq!((entry.mtime, entry.size), (expected.mtime, expected.size));
            assert_eq!(entry.sparse.as_deref().map(|s| s[0]), expected.sparse.map(|s| s[0]));
            assert_eq!(entry.xattrs, expected.xattrs);
            assert!(entry.device == expected.device || expected.kind != NewKind::BlockDevice);
        }
        assert!(reader.next_entry().unwrap().is_none());
    }

    #[test]
    fn a_file_that_shrinks_is_filled_up() {
        let entry = NewEntry { path: b"f", size: 1000, ..NewEntry::default() };
        assert_eq!(written(&[(entry, b"short")]).len(), 512 + 1024 + 1024);
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        let mut out = Vec::new();
        record(&mut out, b"k", &[b'v'; 5]);
        record(&mut out, b"k", &[b'v'; 93]);
        assert!(out.starts_with(b"11 k=vvvvv\n99 k="));
        let mut out = Vec::new();
        record(&mut out, b"k", &[b'v'; 94]);
        assert!(out.starts_with(b"101 k=") && out.len() == 101);
    }
}
