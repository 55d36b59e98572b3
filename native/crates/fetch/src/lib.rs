//! Blobs of images: downloaded or read from an archive, verified, inflated and unpacked, on own threads.
//! Must not decide anything (which host, which credentials, which limits) and never writes a credential anywhere.

mod agent;
pub mod archive;
mod blob;
mod cause;
mod compression;
mod connect;
mod digest;
mod download;
mod export;
mod job;
mod layer;
mod layer_dir;
#[cfg(feature = "measure")]
pub mod measure;
mod piece;
mod pipe;
mod pipeline;
mod ranges;
mod reach;
mod redirect;
pub mod request;
mod tls;
mod upload;
mod url;
mod verify;

pub use blob::{FetchedBlob, MAX_IN_MEMORY, fetch_blob};
pub use cause::{Cause, FetchError};
pub use digest::Digest;
pub use export::{ExportedBlob, begin_archive, export_blob, finish_archive, verify_blob};
pub use job::{Job, Progress, cancel, progress};
pub use layer::{UnpackedLayer, fetch_layer, unpack_from_archive};
pub use reach::Reach;
pub use upload::{SentBlob, send_blob};
