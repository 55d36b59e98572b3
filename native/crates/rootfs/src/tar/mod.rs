//! Reading tar as images carry it: ustar, GNU (long names, base-256 numbers, sparse) and pax
//! (tar(5), POSIX.1-2001); writing it as pax. Bytes only: no path is trusted and no file is touched here.

mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use reader::{Entry, FileSource, Kind, MetaLimits, TarReader, TarSource, Xattr};
pub use writer::{NewEntry, NewKind, TarWriter};
