//! Blobs of images out of the store: layers put together again from their files, compressed where wanted, into a tar
//! or a directory that is an OCI layout (image-spec, image-layout.md). Nothing unverified is ever left there.

mod output;
mod source;

use crate::cause::{Cause, FetchError};
use crate::digest::{Digest, Hasher};
use crate::job::{Job, Stage};
use crate::request::{ExportBlob, ExportCompression, ExportSource, VerifyBlob};
use flate2::write::GzEncoder;
use output::Output;
use podwright_sys::priority::set_thread_behind_process;
use std::io::{self, Write};

pub use output::{begin_archive, finish_archive};

/// Below the daemon and containers, as unpacking.
const NICE: i32 = 5;
/// What `gzip` and `zstd` use themselves.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// A blob as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
}

/// Reads a blob, or puts a layer's tar together, to nowhere, and compares its digest: its length.
///
/// # Errors
/// What is damaged or was unpacked without an index; a disk that does not read.
pub fn verify_blob(request: &VerifyBlob, job: &Job) -> Result<u64, FetchError> {
    polite();
    job.stage(Stage::Unpacking);
    copy(&request.source, job, &mut io::sink()).map_err(|cause| FetchError {
        operation: "verify",
        object: request.handle.clone(),
        from: String::new(),
        cause: Box::new(cause),
    })
}

/// Writes one blob: verified against the digest it has in the store, or gone.
///
/// # Errors
/// As [`verify_blob`], and those of writing.
pub fn export_blob(request: &ExportBlob, job: &Job) -> Result<ExportedBlob, FetchError> {
    polite();
    let export = || {
        job.stage(Stage::Unpacking);
        let mut output = Output::open(&request.into)?;
        let mut blob = Hashed { hasher: Hasher::sha256(), bytes: 0, out: &mut output };
        let copied = match request.compression {
            ExportCompression::None => copy(&request.source, job, &mut blob).map(drop),
            ExportCompression::Gzip => {
                let mut encoder = GzEncoder::new(&mut blob, flate2::Compression::new(GZIP_LEVEL));
                copy(&request.source, job, &mut encoder).and_then(|_| Ok(encoder.finish().map(drop)?))
            }
            ExportCompression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(&mut blob, ZSTD_LEVEL)?;
                copy(&request.source, job, &mut encoder).and_then(|_| Ok(encoder.finish().map(drop)?))
            }
        };
        let (digest, bytes) = (blob.hasher.finish(), blob.bytes);
        // What the output itself failed of explains what its writers say.
        output.failed().map_or(copied, Err)?;
        job.stage(Stage::Syncing);
        output.commit(&digest, bytes)?;
        Ok(ExportedBlob { digest, bytes })
    };
    export().map_err(|cause| FetchError {
        operation: "save",
        object: request.handle.clone(),
        from: String::new(),
        cause: Box::new(cause),
    })
}

fn copy(from: &ExportSource, job: &Job, out: &mut dyn Write) -> Result<u64, Cause> {
    match from {
        ExportSource::Layer { layer_dir, diff_id } => source::layer(layer_dir, &Digest::parse(diff_id)?, job, out),
        ExportSource::File { path, digest, size } => {
            source::file(path, (&Digest::parse(digest)?, *size), job, out).map(|()| *size)
        }
        ExportSource::Entry { path, entry, digest } => {
            source::entry(path, entry, &Digest::parse(digest)?, job, out).map(|()| entry.size)
        }
        ExportSource::Text { text } => {
            out.write_all(text.as_bytes())?;
            Ok(text.len() as u64)
        }
    }
}

/// Hashes and counts what passes.
struct Hashed<'a> {
    hasher: Hasher,
    bytes: u64,
    out: &'a mut dyn Write,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without its lower priority a thread is merely less polite.
fn polite() {
    let _ = set_thread_behind_process(NICE);
}
