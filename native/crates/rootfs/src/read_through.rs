//! Small files (passwd, group) out of a stack of layers, without a mount.

use crate::stack::{Found, failed, open_layers, resolve};
use podwright_sys::errno::SysResult;
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No file larger than this is read, whatever the caller allows.
pub const MAX_READ_BYTES: u64 = 1 << 20;

/// Reads `path` as the merged tree of `layers` (their directories, topmost first) has it; `None` if it has none.
/// Errors: EISDIR or EINVAL if it is no regular file, EFBIG above the limit, ELOOP.
pub fn read_through<P: AsRef<Path>>(layers: &[P], path: &[u8], max_bytes: u64) -> SysResult<Option<Vec<u8>>> {
    let layers = open_layers(layers)?;
    let max = max_bytes.min(MAX_READ_BYTES);
    let (dir, stat, name) = match resolve(&layers, path)? {
        None => return Ok(None),
        Some((Found::Directory(_), _)) => return Err(failed("read from layers", "open", Errno::ISDIR, path)),
        Some((Found::Other(dir, stat), name)) => (dir, stat, name),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(failed("read from layers", "open", Errno::INVAL, path));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::openat(&dir, name.as_slice(), flags, Mode::empty())
        .map_err(|e| failed("read from layers", "openat", e, path))?;
    let mut data = Vec::new();
    File::from(file)
        .take(max + 1)
        .read_to_end(&mut data)
        .map_err(|e| failed("read from layers", "read", Errno::from_io_error(&e).unwrap_or(Errno::IO), path))?;
    if data.len() as u64 > max { Err(failed("read from layers", "read", Errno::FBIG, path)) } else { Ok(Some(data)) }
}
