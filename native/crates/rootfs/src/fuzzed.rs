//! What is fuzzed of this crate (`native/fuzz`).

use crate::limits::Limits;
use crate::tar::{MetaLimits, TarReader, TarSource};
use std::io::{self, BufRead, ErrorKind, Read};

/// Bytes in memory, of which few are at hand at a time.
struct Pieces<'a> {
    left: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(&self.left[..self.left.len().min(self.piece)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = &self.left[amount..];
    }
}

impl TarSource for Pieces<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let count = usize::try_from(count).ok().filter(|c| *c <= self.left.len()).ok_or(ErrorKind::UnexpectedEof)?;
        self.consume(count);
        Ok(())
    }
}

const META: MetaLimits = MetaLimits { max_entries: 1000, max_path_bytes: 4096, max_xattr_bytes: 65_536 };
const LIMITS: Limits = Limits {
    max_entries: META.max_entries,
    max_bytes: 1 << 40,
    max_ratio: 1000,
    max_depth: 64,
    max_path_bytes: META.max_path_bytes,
    max_xattr_bytes: META.max_xattr_bytes,
};

/// What an archive gives, in words: its entries with their contents, and how it ends.
fn told(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut told = Vec::new();
    let mut tar = TarReader::new(Pieces { left: bytes, piece }, META);
    loop {
        let entry = match tar.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return told,
            Err(error) => {
                told.push(error.to_string());
                return told;
            }
        };
        assert!(tar.position() <= bytes.len() as u64);
        assert!(entry.path.len() <= META.max_path_bytes && entry.link.len() <= META.max_path_bytes);
        if let Some(segments) = &entry.sparse {
            let stored = segments.iter().try_fold(0u64, |sum, (_, length)| sum.checked_add(*length));
            assert_eq!(stored, Some(entry.stored), "segments are what is stored");
            let ends = segments.iter().try_fold(0u64, |end, (at, length)| {
                at.checked_add(*length).filter(|next| *at >= end && *next <= entry.size)
            });
            assert!(ends.is_some(), "segments in order, within the file");
        }
        if let Ok(components) = LIMITS.components(&entry.path) {
            assert!(components.iter().all(|part| !matches!(*part, b"" | b"." | b"..") && !part.contains(&0)));
        }
        let mut stored = 0u64;
        let end = loop {
            match tar.data() {
                Ok([]) => break None,
                Ok(data) => {
                    let count = data.len();
                    tar.take(count);
                    stored += count as u64;
                }
                Err(error) => break Some(error.to_string()),
            }
        };
        assert!(end.is_some() || stored == entry.stored, "{stored} of {}", entry.stored);
        told.push(format!("{entry:?} {end:?}"));
    }
}

/// The bytes with the right sum in each block that looks like a header: without it no change gets any further.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.as_chunks_mut::<512>().0 {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    bytes
}

/// An archive: bounded whatever it says, and the same however its bytes come.
///
/// # Panics
/// What must not be.
pub fn tar(bytes: &[u8]) {
    check(bytes);
    check(&summed(bytes));
}

fn check(bytes: &[u8]) {
    let whole = told(bytes, usize::MAX);
    assert!(whole.len() as u64 <= META.max_entries + 1);
    assert_eq!(whole, told(bytes, 7), "in pieces");
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_kept_of_tar() {
        assert!(super::replay::replay("tar", super::tar) > 0);
    }
}
