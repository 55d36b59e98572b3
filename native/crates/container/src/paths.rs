//! Paths inside a root that its owner does not control: resolved by openat2(2) with
//! RESOLVE_IN_ROOT, so no link and no `..` leads out of it.

use crate::error::{StepResult, failed};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What to make of a path that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A directory, with those above it.
    Directory,
    /// An empty file, with the directories above it.
    File,
}

/// Opens a path in `root` (O_PATH).
///
/// # Errors
/// The errno of openat2.
pub fn open(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    open_with(root, path, OFlags::PATH)
}

/// Opens a path in `root` with flags.
///
/// # Errors
/// The errno of openat2.
pub fn open_with(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN: a rename elsewhere made the walk unsafe to finish; it is to be tried again
    for _ in 0..64 {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens a path in `root` (O_PATH), making what is missing.
///
/// # Errors
/// The failing call.
pub fn open_or_make(root: BorrowedFd<'_>, path: &str, missing: Missing) -> StepResult<OwnedFd> {
    match open(root, path) {
        Err(Errno::NOENT) => {}
        other => return other.map_err(failed("open", "openat2", path)),
    }
    let mut wanted = path.trim_matches('/').to_owned();
    for _ in 0..40 {
        match make(root, &wanted, missing)? {
            Made::Opened(fd) => return Ok(fd),
            Made::Elsewhere(target) => wanted = target,
        }
    }
    Err(failed("make", "openat2", path)(Errno::LOOP))
}

enum Made {
    Opened(OwnedFd),
    /// A part is a link to something that does not exist: the path with the link followed.
    Elsewhere(String),
}

fn make(root: BorrowedFd<'_>, path: &str, missing: Missing) -> StepResult<Made> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let mut above = open(root, "/").map_err(failed("open", "openat2", "/"))?;
    let mut walked = String::new();
    for (at, part) in parts.iter().enumerate() {
        let whole = format!("{walked}/{part}");
        let last = at + 1 == parts.len();
        match open(root, &whole) {
            Ok(fd) => above = fd,
            Err(Errno::NOENT) => {
                if let Some(target) = link(above.as_fd(), part) {
                    let base = if target.starts_with('/') { "" } else { walked.as_str() };
                    let rest = parts.get(at + 1..).unwrap_or_default().join("/");
                    return Ok(Made::Elsewhere(format!("{base}/{target}/{rest}")));
                }
                above = make_one(above.as_fd(), part, last && missing == Missing::File, &whole)?;
            }
            Err(e) => return Err(failed("open", "openat2", whole)(e)),
        }
        walked = whole;
    }
    Ok(Made::Opened(above))
}

fn link(above: BorrowedFd<'_>, name: &str) -> Option<String> {
    let target = readlinkat(above, name, Vec::new()).ok()?;
    target.into_string().ok()
}

fn make_one(above: BorrowedFd<'_>, name: &str, file: bool, whole: &str) -> StepResult<OwnedFd> {
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    if file {
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        openat(above, name, flags | create, Mode::from_raw_mode(0o644)).map_err(failed(
            "make the file",
            "openat",
            whole,
        ))?;
        return openat(above, name, flags | OFlags::PATH, Mode::empty()).map_err(failed("open", "openat", whole));
    }
    match mkdirat(above, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(failed("make the directory", "mkdirat", whole)(e)),
    }
    openat(above, name, flags | OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
        .map_err(failed("open", "openat", whole))
}

/// Makes a directory on the host with those above it (0755), for paths the host's owner controls.
///
/// # Errors
/// The failing mkdir.
pub fn make_host_directories(path: &str) -> StepResult<()> {
    match mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) => match path.trim_end_matches('/').rsplit_once('/') {
            Some((above, _)) if !above.is_empty() => {
                make_host_directories(above)?;
                match mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => Ok(()),
                    Err(e) => Err(failed("make the directory", "mkdir", path)(e)),
                }
            }
            _ => Err(failed("make the directory", "mkdir", path)(Errno::NOENT)),
        },
        Err(e) => Err(failed("make the directory", "mkdir", path)(e)),
    }
}

/// Whether an open file is a directory.
///
/// # Errors
/// The errno of fstat.
pub fn is_directory(fd: impl AsFd) -> StepResult<bool> {
    let stat = fstat(fd).map_err(failed("look at", "fstat", ""))?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// The identity of a file: device and inode.
///
/// # Errors
/// The errno of stat.
pub fn file_id(path: &str) -> Result<(u64, u64), Errno> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::empty())?;
    Ok((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    fn tree(name: &str) -> (PathBuf, OwnedFd) {
        let dir = PathBuf::from(format!("/tmp/podwright-paths-{name}-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("root/etc")).unwrap();
        let fd = rustix::fs::open(dir.join("root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        (dir, fd)
    }

    #[test]
    fn missing_parts_are_made_inside() {
        let (dir, root) = tree("make");
        open_or_make(root.as_fd(), "/a/b/c", Missing::File).unwrap();
        open_or_make(root.as_fd(), "a/d/", Missing::Directory).unwrap();
        assert!(dir.join("root/a/b/c").is_file() && dir.join("root/a/d").is_dir());
        open_or_make(root.as_fd(), "/a/b/c", Missing::File).unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn links_never_lead_out() {
        let (dir, root) = tree("links");
        symlink("../../../../outside", dir.join("root/up")).unwrap();
        symlink("/run", dir.join("root/var-run")).unwrap();
        symlink("/loop", dir.join("root/loop")).unwrap();
        open_or_make(root.as_fd(), "/up/x", Missing::File).unwrap();
        open_or_make(root.as_fd(), "/var-run/secrets/k", Missing::Directory).unwrap();
        open_or_make(root.as_fd(), "/etc/../../../b", Missing::File).unwrap();
        assert!(dir.join("root/outside/x").is_file() && dir.join("root/run/secrets/k").is_dir());
        assert!(dir.join("root/b").is_file() && !dir.join("outside").exists() && !dir.join("b").exists());
        assert!(open_or_make(root.as_fd(), "/loop/x", Missing::File).is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
