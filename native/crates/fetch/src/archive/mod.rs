//! Images in files: `docker save` tars (old ones, and those that are OCI layouts too), OCI layouts as tar or directory.
//! A tar is indexed once by seeking; its contents are read by offset. Nothing is trusted but what digests prove.

mod entry;
mod index;

pub(crate) use entry::EntryReader;
pub use entry::read_entry;
pub use index::{ArchiveEntry, ArchiveIndex, index};
