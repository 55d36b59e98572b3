//! What a layer's tar is besides the contents of its files, written down while it is unpacked, so that the tar can be
//! put together again byte for byte: headers, padding, the end mark and what follows it.
//!
//! The index is a stream of records after a magic line; numbers are LEB128. Contents are read back from `diff/`, or
//! from `replaced/` if a later entry of the same tar took their place. The caller stores (and compresses) the stream.

mod rebuild;
mod source;
mod writer;

pub use rebuild::{RebuildError, rebuild_tar};
pub(crate) use source::{Recorded, SharedIndex};
pub use writer::IndexWriter;

/// First bytes of an index, with its version.
const MAGIC: &[u8] = b"podwright-tar-index-1\n";
/// Bytes of the tar as they are: length, bytes.
const RAW: u8 = 1;
/// The file that the next contents are in: its size, length of its path, path below `diff/`.
const FILE: u8 = 2;
/// Contents of that file: offset, length.
const DATA: u8 = 3;
/// What was at a path is in `replaced/<number>` from here on: number, length of the path, path.
const MOVED: u8 = 4;
/// The tar is complete: its length.
const END: u8 = 5;

/// Bytes of one raw record at most.
const RAW_BYTES: usize = 64 << 10;
/// Paths at most, of files and of what was replaced: longer ones cannot be opened.
const MAX_PATH: usize = 4095;
/// Where files that a later entry replaced are kept, beside `diff/`.
const REPLACED: &str = "replaced";
