//! The processes of a cgroup and of everything below it.

use crate::file::{self, errno};
use podwright_sys::errno::{SysError, SysResult};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Every process in `dir` and its descendants; empty when `dir` does not exist.
///
/// In a threaded v2 subtree `cgroup.procs` cannot be read (EOPNOTSUPP): the threaded domain's
/// root, which is read too, lists those processes.
pub fn list(dir: &Path) -> SysResult<Vec<i32>> {
    let mut pids = Vec::new();
    collect(dir, &mut pids)?;
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn collect(dir: &Path, pids: &mut Vec<i32>) -> SysResult<()> {
    match file::read(dir, "cgroup.procs") {
        Ok(text) => pids.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()).filter(|pid| *pid > 0)),
        Err(e) if gone(e.errno) || e.errno == errno::Errno::OPNOTSUPP.raw_os_error() => {}
        Err(e) => return Err(e),
    }
    for child in children(dir)? {
        collect(&child, pids)?;
    }
    Ok(())
}

/// The child cgroups of `dir`; none when it does not exist.
pub fn children(dir: &Path) -> SysResult<Vec<std::path::PathBuf>> {
    // kernfs counts a link for each directory below beside two of its own: most have none, and dozens of files
    if std::fs::metadata(dir).is_ok_and(|meta| meta.nlink() == 2) {
        return Ok(Vec::new());
    }
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.raw_os_error().is_some_and(gone) => return Ok(Vec::new()),
        Err(e) => return Err(SysError::from_io("list", "open", &e, dir.to_string_lossy())),
    };
    let mut found = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_ok_and(|t| t.is_dir()) => found.push(entry.path()),
            Ok(_) => {}
            Err(e) if e.raw_os_error().is_some_and(gone) => break,
            Err(e) => return Err(SysError::from_io("list", "getdents64", &e, dir.to_string_lossy())),
        }
    }
    Ok(found)
}

fn gone(errno: i32) -> bool {
    errno == errno::ENOENT || errno == errno::ENODEV
}
