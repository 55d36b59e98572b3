//! The directory that a checkpoint is written into: nothing is written outside of it, and nothing of a failed one stays.

use crate::error::{CriuError, CriuResult, failed, io_failed};
use rustix::fs::{Mode, OFlags, RawDir};
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A directory that fills up; what was put in is removed with it unless it is kept.
#[derive(Debug)]
pub struct Folder {
    path: String,
    fd: OwnedFd,
    made: Vec<String>,
    /// The directory itself goes too.
    own: bool,
    kept: bool,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens an existing empty directory, which is not removed.
    ///
    /// # Errors
    /// It is not there, is no directory or is not empty.
    pub fn open(path: &str) -> CriuResult<Self> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(failed("open", "open", path))?;
        let folder = Self { path: path.into(), fd, made: Vec::new(), own: false, kept: false };
        if !folder.is_empty()? {
            return Err(CriuError::Place { path: path.into(), reason: "is not empty".into() });
        }
        Ok(folder)
    }

    /// Makes a directory that is removed at the end.
    ///
    /// # Errors
    /// The failing call.
    pub fn make(path: &str) -> CriuResult<Self> {
        rustix::fs::mkdir(path, Mode::RWXU).map_err(failed("make", "mkdir", path))?;
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(failed("open", "open", path))?;
        Ok(Self { path: path.into(), fd, made: Vec::new(), own: true, kept: false })
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A directory in it; `""` is itself.
    ///
    /// # Errors
    /// The failing call.
    pub fn directory(&mut self, name: &str) -> CriuResult<OwnedFd> {
        if name.is_empty() {
            return rustix::fs::openat(&self.fd, ".", DIRECTORY, Mode::empty()).map_err(failed("open", "openat", name));
        }
        self.made.push(name.into());
        make_directory(self.fd(), name)
    }

    /// Writes a file in it.
    ///
    /// # Errors
    /// The failing call.
    pub fn file(&mut self, name: &str, content: &[u8]) -> CriuResult<()> {
        self.made.push(name.into());
        write_file(self.fd(), name, content)
    }

    /// A new file in it, to be written.
    ///
    /// # Errors
    /// The failing call.
    pub fn create(&mut self, name: &str) -> CriuResult<std::fs::File> {
        self.made.push(name.into());
        create_file(self.fd(), name)
    }

    /// Makes all of it durable; from now on it stays.
    ///
    /// # Errors
    /// The errno of syncfs.
    pub fn keep(mut self) -> CriuResult<()> {
        rustix::fs::syncfs(&self.fd).map_err(failed("sync", "syncfs", &*self.path))?;
        self.kept = true;
        Ok(())
    }

    fn is_empty(&self) -> CriuResult<bool> {
        let mut buffer = Vec::with_capacity(4096);
        let mut entries = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed("list", "getdents64", &*self.path))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // What cannot be removed cannot be told any better than by the failure that led here.
        for name in &self.made {
            let path = format!("{}/{name}", self.path);
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
        if self.own {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes a directory for root's eyes only and opens it.
///
/// # Errors
/// The failing call.
pub fn make_directory(dir: BorrowedFd<'_>, name: &str) -> CriuResult<OwnedFd> {
    rustix::fs::mkdirat(dir, name, Mode::RWXU).map_err(failed("make", "mkdirat", name))?;
    rustix::fs::openat(dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map_err(failed("open", "openat", name))
}

/// Opens the directory behind a path-only descriptor, such as a mount that is nowhere.
///
/// # Errors
/// The errno of openat.
pub fn open_at(dir: BorrowedFd<'_>) -> CriuResult<OwnedFd> {
    rustix::fs::openat(dir, ".", DIRECTORY, Mode::empty()).map_err(failed("open", "openat", "."))
}

/// A new file for root's eyes only.
///
/// # Errors
/// The failing call.
pub fn create_file(dir: BorrowedFd<'_>, name: &str) -> CriuResult<std::fs::File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed("make", "openat", name))?;
    Ok(file.into())
}

/// Writes a new file for root's eyes only.
///
/// # Errors
/// The failing call.
pub fn write_file(dir: BorrowedFd<'_>, name: &str, content: &[u8]) -> CriuResult<()> {
    create_file(dir, name)?.write_all(content).map_err(io_failed("write", "write", name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_goes() {
        let path = format!("/tmp/podwright-criu-folder-{}", std::process::id());
        std::fs::create_dir(&path).unwrap();
        let mut folder = Folder::open(&path).unwrap();
        drop(folder.directory("a").unwrap());
        std::fs::write(format!("{path}/a/f"), "x").unwrap();
        folder.file("f", b"x").unwrap();
        assert!(matches!(Folder::open(&path), Err(CriuError::Place { .. })));
        drop(folder);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        let mut folder = Folder::open(&path).unwrap();
        folder.file("f", b"x").unwrap();
        folder.keep().unwrap();
        assert_eq!(std::fs::read(format!("{path}/f")).unwrap(), b"x");
        std::fs::remove_dir_all(&path).unwrap();
        drop(Folder::make(&path).unwrap());
        assert!(!std::path::Path::new(&path).exists());
    }
}
