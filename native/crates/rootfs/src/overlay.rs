//! Marks of overlayfs in a layer's directory: whiteouts and opaque directories
//! (Documentation/filesystems/overlayfs.rst; OCI image-spec layer.md, "Whiteouts").

use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// The attribute that hides everything below a directory.
const OPAQUE: &str = "trusted.overlay.opaque";

/// Whether a stat is a whiteout: a character device 0, 0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Makes a whiteout of `name` in a directory.
pub(crate) fn make_whiteout(dir: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)
}

/// Marks an open directory opaque.
pub(crate) fn make_opaque(dir: impl AsFd) -> SysResult<()> {
    fs::fsetxattr(dir, OPAQUE, b"y", XattrFlags::empty())
        .map_err(|e| SysError::new("mark a directory opaque", "fsetxattr", e.raw_os_error(), OPAQUE))
}

/// Whether an open directory is opaque; one without attributes, or on a file system without them, is not.
pub(crate) fn is_opaque(dir: impl AsFd) -> SysResult<bool> {
    let mut value = [0_u8; 8];
    match fs::fgetxattr(dir, OPAQUE, &mut value[..]) {
        Ok(length) => Ok(length == 1 && value[0] == b'y'),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(e) => Err(SysError::new("read whether a directory is opaque", "fgetxattr", e.raw_os_error(), OPAQUE)),
    }
}

/// Opens a directory by one name, never through a link, for reading and changing its attributes.
pub(crate) fn open_dir(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    fs::openat(parent, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// A stat of one name, never through a link; `None` if there is nothing.
pub(crate) fn stat_name(parent: impl AsFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}
