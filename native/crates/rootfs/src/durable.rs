//! Things that appear whole or not at all: one rename commits them.

use crate::trash::remove_now;
use podwright_sys::errno::{SysError, SysResult};
use podwright_sys::steps;
use rustix::fs::{self, CWD, IFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Renames a finished directory to its place and syncs the parent. False when somebody else's is there: ours is removed.
pub fn commit_dir(from: &Path, to: &Path) -> SysResult<bool> {
    match fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {
            steps::pass("directory renamed")?;
            sync_parent(to)?;
            Ok(true)
        }
        Err(Errno::EXIST) => {
            remove_now(from)?;
            Ok(false)
        }
        Err(e) => Err(error("commit", "renameat2", e, from)),
    }
}

/// Everything written to the file system that holds `path` reaches the disk (syncfs(2)).
pub fn sync_fs(path: &Path) -> SysResult<()> {
    let fd = open_dir(path)?;
    fs::syncfs(&fd).map_err(|e| error("sync the file system of", "syncfs", e, path))
}

/// Tells the file system that what is made directly in `dir` has nothing in common (FS_TOPDIR_FL, ext4(5)): ext4 then
/// gives each directory a block group of its own choice. Otherwise all layers go to the group of their parent, where
/// every new inode is looked for past those of layers that were removed lately, and parallel ones wait for each other.
pub fn spread_directories(dir: &Path) -> SysResult<()> {
    let fd = open_dir(dir)?;
    let flags = match fs::ioctl_getflags(&fd) {
        // Other file systems have no such flags, or not this one: they have no need of it.
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => return Ok(()),
        flags => flags.map_err(|e| error("read the flags of", "ioctl", e, dir))?,
    };
    if flags.contains(IFlags::TOPDIR) {
        return Ok(());
    }
    match fs::ioctl_setflags(&fd, flags | IFlags::TOPDIR) {
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOTTY | Errno::PERM) => Ok(()),
        set => set.map_err(|e| error("set the flags of", "ioctl", e, dir)),
    }
}

/// The entries of one directory reach the disk.
pub fn sync_dir(path: &Path) -> SysResult<()> {
    let fd = open_dir(path)?;
    fs::fsync(&fd).map_err(|e| error("sync", "fsync", e, path))
}

/// Makes `upper` (0755) and `work` (0700) of a container's overlay; those that are there stay.
pub fn make_snapshot(dir: &Path) -> SysResult<(PathBuf, PathBuf)> {
    let make = |name: &str, mode: u32| {
        let path = dir.join(name);
        match fs::mkdir(&path, Mode::from_raw_mode(mode)) {
            // mkdir is subject to the umask.
            Ok(()) => {
                fs::chmod(&path, Mode::from_raw_mode(mode)).map_err(|e| error("set the mode of", "chmod", e, &path))?
            }
            Err(Errno::EXIST) => {
                open_dir(&path)?;
            }
            Err(e) => return Err(error("make directory", "mkdir", e, &path)),
        }
        Ok(path)
    };
    match fs::mkdir(dir, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(error("make directory", "mkdir", e, dir)),
    }
    Ok((make("upper", 0o755)?, make("work", 0o700)?))
}

/// Writes a file of exactly this mode beside its place and renames it there; synced with its directory if asked.
pub fn write_file_atomic(path: &Path, data: &[u8], mode: u32, sync: bool) -> SysResult<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| error("write", "open", Errno::INVAL, path))?;
    let unique = format!(".{}.{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut temporary_name = name.to_os_string();
    temporary_name.push(unique);
    let temporary = path.with_file_name(temporary_name);
    let written = write_new(&temporary, data, mode, sync)
        .and_then(|()| steps::pass("file written"))
        .and_then(|()| fs::rename(&temporary, path).map_err(|e| error("put in place", "rename", e, path)));
    if let Err(e) = written {
        // The failure is what is reported; a temporary that cannot be removed now is swept as a stray.
        let _ = fs::unlink(&temporary);
        return Err(e);
    }
    steps::pass("file renamed")?;
    if sync { sync_parent(path) } else { Ok(()) }
}

fn write_new(path: &Path, data: &[u8], mode: u32, sync: bool) -> SysResult<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = fs::open(path, flags, Mode::from_raw_mode(0o600)).map_err(|e| error("write", "open", e, path))?;
    let mut file = File::from(fd);
    file.write_all(data).map_err(|e| SysError::from_io("write", "write", &e, path.to_string_lossy()))?;
    fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777)).map_err(|e| error("set the mode of", "fchmod", e, path))?;
    if sync {
        fs::fdatasync(&file).map_err(|e| error("sync", "fdatasync", e, path))?;
    }
    Ok(())
}

/// The name of `path` itself reaches the disk.
pub(crate) fn sync_parent(path: &Path) -> SysResult<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

fn open_dir(path: &Path) -> SysResult<OwnedFd> {
    fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| error("open", "open", e, path))
}

pub(crate) fn error(operation: &'static str, syscall: &'static str, errno: Errno, path: &Path) -> SysError {
    SysError::new(operation, syscall, errno.raw_os_error(), path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_spread_where_the_file_system_knows_how() {
        for base in [std::env::temp_dir(), PathBuf::from("/dev/shm")] {
            let dir = base.join(format!("podwright-spread-{}", std::process::id()));
            std::fs::create_dir(&dir).expect("make");
            spread_directories(&dir).expect("first");
            let before = fs::ioctl_getflags(open_dir(&dir).expect("open"));
            spread_directories(&dir).expect("again");
            assert_eq!(fs::ioctl_getflags(open_dir(&dir).expect("open")), before);
            std::fs::remove_dir(&dir).expect("remove");
        }
        assert!(spread_directories(Path::new("/nonexistent")).is_err());
    }
}
