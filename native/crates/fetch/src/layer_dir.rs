//! A layer's directory in the making and read back: `diff/` beside the index of its tar.

use crate::blob::disk;
use crate::cause::Cause;
use podwright_rootfs::{AppliedLayer, IndexWriter, Limits, UnpackError, apply_layer_indexed};
use podwright_sys::errno::SysError;
use rustix::fs::{self, Mode, OFlags};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use zstd::stream::raw::CParameter;

/// The index's file beside `diff/`; a layer of an earlier release has none.
const INDEX: &str = "tar-index.zst";
/// Headers are mostly alike: the fastest level makes them a tenth, and more effort hardly less.
const LEVEL: i32 = 1;
/// 256 KiB: enough for headers to be alike in, small for memory.
const WINDOW_LOG: u32 = 18;

/// An empty layer: where its tar is unpacked, once.
pub(crate) struct LayerDir {
    path: PathBuf,
    diff: OwnedFd,
}

impl LayerDir {
    /// The directory at `path`, with its `diff/` open.
    pub(crate) fn new(path: &Path, diff: OwnedFd) -> Self {
        Self { path: path.to_owned(), diff }
    }

    /// Unpacks the tar into `diff/` and writes its index. Nothing is synced.
    pub(crate) fn apply(self, tar: impl BufRead, limits: &Limits) -> Result<AppliedLayer, UnpackError> {
        let path = self.path.join(INDEX);
        let failed =
            |syscall, e: io::Error| SysError::from_io("write the tar index", syscall, &e, path.to_string_lossy());
        let file = File::create_new(&path).map_err(|e| failed("open", e))?;
        let begin = || {
            let mut encoder = zstd::stream::write::Encoder::new(BufWriter::with_capacity(32 << 10, file), LEVEL)?;
            encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
            Ok(encoder)
        };
        let mut encoder = begin().map_err(|e| failed("write", e))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let layer = fs::open(&self.path, flags, Mode::empty()).map_err(|e| failed("open", e.into()))?;
        let index = IndexWriter::new(&mut encoder, layer);
        let (applied, whole) = apply_layer_indexed(tar, self.diff, limits, index)?;
        encoder.finish().and_then(|mut file| file.flush()).map_err(|e| failed("write", e))?;
        if !whole {
            std::fs::remove_file(&path).map_err(|e| failed("unlink", e))?;
        }
        Ok(applied)
    }
}

/// Begins to read the index of a layer.
pub(crate) fn open_index(layer: &Path) -> io::Result<impl Read + use<>> {
    zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(32 << 10, File::open(layer.join(INDEX))?))
}

/// Whether a layer has an index.
pub(crate) fn has_index(layer: &Path) -> Result<bool, Cause> {
    match fs::stat(layer.join(INDEX)) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(e) => Err(disk("look at the tar index", "stat", e, layer)),
    }
}
