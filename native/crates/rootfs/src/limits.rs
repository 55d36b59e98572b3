//! Bounds of one layer: what a registry may make this node write.

use crate::error::{UnpackError, UnpackResult};

/// Bounds of one layer; the caller decides them, passing any is [`UnpackError::LayerTooLarge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Headers in the tar.
    pub max_entries: u64,
    /// Bytes of the uncompressed tar, and of the files it makes (holes of sparse files counted).
    pub max_bytes: u64,
    /// Uncompressed bytes for each compressed one.
    pub max_ratio: u64,
    /// Components of a path.
    pub max_depth: usize,
    /// Bytes of a path or a link's target.
    pub max_path_bytes: usize,
    /// Extended attributes of an entry, names and values.
    pub max_xattr_bytes: usize,
}

/// PATH_MAX less its NUL: what a system call takes (path_resolution(7)).
const PATH_MAX: usize = 4095;
/// NAME_MAX (pathconf(3)).
const NAME_MAX: usize = 255;

impl Limits {
    /// The components of an entry's path below its layer's root: `.` and empty ones dropped, `..` refused.
    /// No components means the root itself.
    pub(crate) fn components<'a>(&self, path: &'a [u8]) -> UnpackResult<Vec<&'a [u8]>> {
        let max_path = self.max_path_bytes.min(PATH_MAX);
        if path.len() > max_path {
            return Err(UnpackError::too_large(path, "bytes of a path", max_path as u64));
        }
        let mut components = Vec::new();
        for part in path.split(|&b| b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(UnpackError::malformed(path, "a path leads out of the layer")),
                _ if part.len() > NAME_MAX => {
                    return Err(UnpackError::malformed(path, "a name is longer than 255 bytes"));
                }
                _ if part.contains(&0) => return Err(UnpackError::malformed(path, "a path has a NUL")),
                _ => components.push(part),
            }
        }
        if components.len() > self.max_depth {
            return Err(UnpackError::too_large(path, "components of a path", self.max_depth as u64));
        }
        Ok(components)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { max_entries: 1, max_bytes: 1, max_ratio: 1, max_depth: 3, max_path_bytes: 300, max_xattr_bytes: 1 };

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(LIMITS.components(b"./a//b/./c/").expect("ok"), vec![b"a", b"b", b"c"]);
        assert_eq!(LIMITS.components(b"/a").expect("ok"), vec![b"a"]);
        assert!(LIMITS.components(b"./").expect("ok").is_empty());
        assert!(LIMITS.components(b"..a/b..").is_ok());
    }

    #[test]
    fn paths_that_lead_out_or_are_too_long_are_refused() {
        assert!(matches!(LIMITS.components(b"a/../b"), Err(UnpackError::Malformed { .. })));
        assert!(matches!(LIMITS.components(b"/.."), Err(UnpackError::Malformed { .. })));
        assert!(matches!(LIMITS.components(b"a\0b"), Err(UnpackError::Malformed { .. })));
        assert!(matches!(LIMITS.components(b"a/b/c/d"), Err(UnpackError::LayerTooLarge { .. })));
        assert!(matches!(LIMITS.components(&[b'a'; 256]), Err(UnpackError::Malformed { .. })));
        assert!(matches!(LIMITS.components(&[b'/'; 301]), Err(UnpackError::LayerTooLarge { .. })));
    }
}
