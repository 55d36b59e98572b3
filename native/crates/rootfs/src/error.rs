//! Why a layer could not be unpacked.

use podwright_sys::errno::SysError;
use std::io;

/// A layer that could not be unpacked. The variant is the stage that failed.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The tar breaks its format or would reach outside its layer.
    #[error("malformed layer: {reason}{}", at(entry))]
    Malformed {
        /// The entry's path as far as known, printable.
        entry: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A bound of [`crate::Limits`] was passed.
    #[error("layer too large: more than {max} {what}{}", at(entry))]
    LayerTooLarge {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// The bound.
        max: u64,
        /// The entry's path as far as known, printable.
        entry: String,
    },
    /// The kernel refused an operation on the layer's directory.
    #[error(transparent)]
    Disk(#[from] SysError),
    /// The source of the bytes failed.
    #[error("read layer: {0}")]
    Read(#[source] io::Error),
}

/// Result of an unpacking step.
pub type UnpackResult<T> = Result<T, UnpackError>;

impl UnpackError {
    pub(crate) fn malformed(entry: &[u8], reason: &'static str) -> Self {
        Self::Malformed { entry: printable(entry), reason }
    }

    pub(crate) fn too_large(entry: &[u8], what: &'static str, max: u64) -> Self {
        Self::LayerTooLarge { what, max, entry: printable(entry) }
    }
}

fn at(entry: &str) -> String {
    if entry.is_empty() { String::new() } else { format!(" (entry {entry})") }
}

/// A path from an image as text for a message: control characters escaped, cut at 200 characters.
pub fn printable(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let mut shown: String = text.chars().take(200).flat_map(char::escape_debug).collect();
    if text.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}
