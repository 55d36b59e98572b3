//! Removal in two steps: renamed away at once, freed later.

use crate::durable::error;
use crate::remove::remove_name;
use podwright_sys::errno::SysResult;
use podwright_sys::steps;
use rustix::fs::{self, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Renames a tree into the trash directory (made if absent, same file system): where it is now,
/// or `None` if there was nothing. EXDEV if the trash is on another file system.
pub fn retire(path: &Path, trash: &Path) -> SysResult<Option<PathBuf>> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    make_trash(trash)?;
    let name = path.file_name().ok_or_else(|| error("remove", "rename", Errno::INVAL, path))?;
    loop {
        let mut unique = name.to_os_string();
        unique.push(format!(".{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let to = trash.join(unique);
        match fs::renameat_with(CWD, path, CWD, &to, RenameFlags::NOREPLACE) {
            Ok(()) => {
                steps::reach("tree renamed away");
                return Ok(Some(to));
            }
            Err(Errno::NOENT) => return Ok(None),
            // Left by an earlier process of the same pid.
            Err(Errno::EXIST) => {}
            Err(e) => return Err(error("remove", "renameat2", e, path)),
        }
    }
}

/// One tree of a trash is freed at a time: two walks of the same tree would get in each other's way.
static FREEING: Mutex<()> = Mutex::new(());

/// Frees a retired tree when no other is being freed.
pub(crate) fn free(path: &Path) -> SysResult<u64> {
    // The lock guards no data: sound even after a panic.
    let _alone = FREEING.lock().unwrap_or_else(PoisonError::into_inner);
    let removed = remove_now(path)?;
    steps::reach("tree freed");
    Ok(removed)
}

/// Frees one path and all below it; nothing there is fine. The number of inodes' names removed.
pub fn remove_now(path: &Path) -> SysResult<u64> {
    let name = path.file_name().ok_or_else(|| error("remove", "unlinkat", Errno::INVAL, path))?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = match fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(0),
        Err(e) => return Err(error("remove", "open", e, path)),
    };
    remove_name(dir, name.as_bytes())
}

/// Frees all that is in the trash directory: the number of its entries removed. Goes on past failures, reports the first.
pub fn sweep(trash: &Path) -> SysResult<u64> {
    let entries = match std::fs::read_dir(trash) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(error("empty the trash", "open", Errno::from_io_error(&e).unwrap_or(Errno::IO), trash)),
    };
    let (mut removed, mut first) = (0, None);
    for entry in entries {
        let entry = entry.map_err(|e| {
            error("empty the trash", "getdents64", Errno::from_io_error(&e).unwrap_or(Errno::IO), trash)
        })?;
        match free(&entry.path()) {
            Ok(_) => removed += 1,
            Err(e) => {
                first.get_or_insert(e);
            }
        }
    }
    match first {
        None => Ok(removed),
        Some(e) => Err(e),
    }
}

fn make_trash(trash: &Path) -> SysResult<()> {
    match fs::mkdir(trash, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(error("make the trash directory", "mkdir", e, trash)),
    }
}
