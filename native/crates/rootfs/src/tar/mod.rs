//! Reading tar as images carry it: ustar, GNU (long names, base-256 numbers, sparse) and pax
//! (tar(5), POSIX.1-2001). Parses only: no path is trusted and nothing is written here.

mod header;
mod pax;
mod reader;
mod sparse;

pub use reader::{Entry, FileSource, Kind, MetaLimits, StreamSource, TarReader, TarSource, Xattr};
