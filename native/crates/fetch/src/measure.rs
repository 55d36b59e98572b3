//! The stages of a layer one at a time, for measuring what each costs alone. In no build that ships.

use crate::cause::FetchError;
use crate::compression::{decoder, verified};
use crate::digest::Digest;
use crate::download::download;
use crate::job::Job;
use crate::layer_dir::LayerDir;
use crate::request::Source;
use podwright_rootfs::{AppliedLayer, Limits, UnpackError};
use std::io::{BufRead, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Downloads a blob over one connection or several, as a layer's first stage does, and gives each piece away.
pub fn downloaded(source: &Source, size: u64, job: &Job, mut each: impl FnMut(&[u8])) -> Result<(), FetchError> {
    download(source, size, job, &mut |piece| {
        each(&piece);
        Ok(())
    })
    .map_err(|cause| FetchError {
        operation: "measure",
        object: "a blob".to_owned(),
        from: String::new(),
        cause: Box::new(cause),
    })
}

/// Inflates a whole blob; `each` gets what comes out, in pieces of the size that stages pass on.
pub fn inflated(blob: &[u8], mut each: impl FnMut(&[u8])) -> std::io::Result<()> {
    let compression = verified(blob, None).map_err(|e| std::io::Error::other(e.to_string()))?;
    let mut decoder = decoder(blob, compression)?;
    let mut buffer = vec![0; crate::piece::PIECE];
    loop {
        let mut end = 0;
        while end < buffer.len() {
            match decoder.read(&mut buffer[end..])? {
                0 => break,
                count => end += count,
            }
        }
        if end == 0 {
            return Ok(());
        }
        each(&buffer[..end]);
    }
}

/// The digest of some bytes by the hash that `like` names.
pub fn hashed<'a>(like: &Digest, pieces: impl Iterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = like.hasher();
    pieces.for_each(|piece| hasher.update(piece));
    hasher.finish()
}

/// Unpacks a tar into `diff`, the open directory of that name in `layer`, with its index beside it: as a pull does.
pub fn indexed(layer: &Path, diff: OwnedFd, tar: impl BufRead, limits: &Limits) -> Result<AppliedLayer, UnpackError> {
    LayerDir::new(layer, diff).apply(tar, limits)
}
