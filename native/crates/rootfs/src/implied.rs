//! Directories a layer's tar implied but did not list: they take owner, mode and time of the same directory
//! in the layers below, once those are there. (Layers are unpacked in any order, each by itself; to overlayfs the
//! topmost directory's attributes are the merged one's.)

use crate::stack::{Found, open_layers, resolve};
use crate::usage::TreeUsage;
use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{self, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::path::Path;

/// The list beside `diff/`: paths, each ended by a NUL. Absent where nothing was implied.
const LIST: &str = "implied";

/// Writes the list into a layer's directory; nothing if there is none to write.
pub fn write_implied(layer: &Path, implied: &[Vec<u8>]) -> SysResult<()> {
    if implied.is_empty() {
        return Ok(());
    }
    let mut text = implied.join(&0);
    text.push(0);
    let path = layer.join(LIST);
    std::fs::write(&path, text).map_err(|e| SysError::from_io("write", "write", &e, path.to_string_lossy()))
}

/// What the list takes on the disk, if there is one.
pub fn implied_usage(layer: &Path) -> SysResult<Option<TreeUsage>> {
    let path = layer.join(LIST);
    match fs::stat(&path) {
        Ok(stat) => Ok(Some(TreeUsage { bytes: stat.st_blocks.unsigned_abs() * 512, inodes: 1 })),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(SysError::new("look at", "stat", e.raw_os_error(), path.to_string_lossy())),
    }
}

/// Gives the implied directories of a layer (`<layer>/diff`, list in `<layer>/implied`) the attributes they have in
/// the layers below (their `diff` directories, topmost first). Idempotent; the number of directories set.
pub fn inherit_directories<P: AsRef<Path>>(layer: &Path, below: &[P]) -> SysResult<u64> {
    let list = match std::fs::read(layer.join(LIST)) {
        Ok(list) => list,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(SysError::from_io("read", "read", &e, layer.join(LIST).to_string_lossy())),
    };
    let diff = layer.join("diff");
    let root = fs::open(&diff, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| SysError::new("open layer", "open", e.raw_os_error(), diff.to_string_lossy()))?;
    let below = open_layers(below)?;
    let mut set = 0;
    for path in list.split(|&b| b == 0).filter(|path| !path.is_empty()) {
        let Some((Found::Directory(merged), _)) = resolve(&below, path)? else { continue };
        let Some(topmost) = merged.first() else { continue };
        let failed = |syscall, e: Errno| crate::stack::failed("set attributes of", syscall, e, path);
        let stat = fs::fstat(topmost).map_err(|e| failed("fstat", e))?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat2(&root, path, flags, Mode::empty(), resolve) {
            Ok(dir) => copy(&stat, &dir).map_err(|(syscall, e)| failed(syscall, e))?,
            // A later entry of the same tar replaced it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(e) => return Err(failed("openat2", e)),
        }
        set += 1;
    }
    Ok(set)
}

fn copy(stat: &Stat, dir: &rustix::fd::OwnedFd) -> Result<(), (&'static str, Errno)> {
    fs::fchown(dir, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))).map_err(|e| ("fchown", e))?;
    fs::fchmod(dir, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(|e| ("fchmod", e))?;
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    fs::futimens(dir, &Timestamps { last_access: time, last_modification: time }).map_err(|e| ("futimens", e))
}
