//! Gives files of the host the SELinux context of the container that mounts them (CRI Mount.selinux_relabel).
//!
//! What is labelled is what was opened, whatever becomes of its path meanwhile: the mount is made of the same
//! descriptor. Below it no link is followed and no mount entered.

use crate::error::{StepError, StepResult, failed};
use crate::paths;
use crate::selinux;
use podwright_rootfs::{Visitor, walk};
use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Sources of mounts that are given a context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relabel {
    /// The context.
    pub label: String,
    /// Sources as the bundle has them.
    pub sources: Vec<String>,
    /// The pod's own files, which are nobody's to refuse.
    pub files: Vec<String>,
    /// What no source may be, by whatever path: the host's own directories.
    pub refused: Vec<String>,
    /// And what none may lie in.
    pub refused_trees: Vec<String>,
}

impl Relabel {
    /// Whether a mount's source is among them. PURE.
    pub fn holds(&self, source: &str) -> bool {
        self.sources.iter().chain(&self.files).any(|path| path == source)
    }

    /// Labels all of them, for a runtime that is to mount them.
    ///
    /// # Errors
    /// As [`Relabel::apply`]; one is not there.
    pub fn apply_to_all(&self) -> StepResult<Vec<String>> {
        let mut notes = Vec::new();
        for path in self.sources.iter().chain(&self.files) {
            let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
                "open mount source",
                "open",
                path,
            ))?;
            notes.extend(self.apply(file.as_fd(), path)?);
        }
        Ok(notes)
    }

    /// Labels a source, which is open, and all that is in it on the same mount. A file system without contexts is left,
    /// with a note.
    ///
    /// # Errors
    /// The source is a directory of the host's own; the policy does not know the context; the failing call.
    pub fn apply(&self, file: BorrowedFd<'_>, path: &str) -> StepResult<Option<String>> {
        selinux::check("the context", &self.label)?;
        if !self.files.iter().any(|own| own == path) {
            self.refuse(file, path)?;
        }
        match selinux::set_label(file, &self.label) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP) => {
                return Ok(Some(format!("{path} keeps its SELinux context: its file system gives none")));
            }
            Err(Errno::INVAL) => {
                return Err(StepError::invalid(OPERATION, path, &format!("the policy does not know {}", self.label)));
            }
            Err(e) => return Err(failed(OPERATION, "setxattr", path)(e)),
        }
        if !paths::is_directory(file)? {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(file, ".", flags, Mode::empty()).map_err(failed(OPERATION, "openat", path))?;
        let mut labels = Labels { label: &self.label, mounts: false };
        walk(root, &mut labels).map_err(|e| {
            let mut error = StepError::from(e);
            error.detail = format!("{OPERATION} {path}: {}", error.detail);
            error
        })?;
        Ok(labels.mounts.then(|| format!("mounts below {path} keep their SELinux contexts")))
    }

    fn refuse(&self, file: BorrowedFd<'_>, path: &str) -> StepResult<()> {
        let why = |what: &str| StepError::invalid(OPERATION, path, &format!("{what} is the host's own"));
        let real = selinux::path_of(file)?;
        let stat = rustix::fs::fstat(file).map_err(failed(OPERATION, "fstat", path))?;
        for own in &self.refused {
            // by its inode: a bind mount of it elsewhere is the same directory
            if paths::file_id(own) == Ok((stat.st_dev, stat.st_ino)) {
                return Err(why(own));
            }
        }
        for tree in &self.refused_trees {
            let place = std::fs::canonicalize(tree).unwrap_or_else(|_| tree.into());
            if real.starts_with(&place) || real.starts_with(Path::new(tree)) {
                return Err(why(tree));
            }
        }
        Ok(())
    }
}

const OPERATION: &str = "give the SELinux context to";

struct Labels<'a> {
    label: &'a str,
    /// Whether there were mounts below.
    mounts: bool,
}

impl Labels<'_> {
    fn set(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        match open_here(dir, name).and_then(|file| selinux::set_label(file.as_fd(), self.label)) {
            // removed meanwhile, or of a kind without a context
            Ok(()) | Err(Errno::NOENT | Errno::OPNOTSUPP) => Ok(()),
            // a file that is a mount point
            Err(Errno::XDEV) => {
                self.mounts = true;
                Ok(())
            }
            Err(e) => {
                let name = podwright_rootfs::printable(name.to_bytes());
                Err(SysError::new(OPERATION, "setxattr", e.raw_os_error(), name))
            }
        }
    }
}

fn open_here(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    openat2(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), resolve)
}

impl Visitor for Labels<'_> {
    fn leaf(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        self.set(dir, name)
    }

    fn enter(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> SysResult<()> {
        self.set(dir, name)
    }

    fn leave(&mut self, _: BorrowedFd<'_>, _: &CStr) -> SysResult<()> {
        Ok(())
    }

    fn mount_point(&mut self, _: BorrowedFd<'_>, _: &CStr) -> SysResult<()> {
        self.mounts = true;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn the_hosts_own_directories_are_refused_by_any_name() {
        let dir = std::env::temp_dir().join(format!("podwright-relabel-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("tree/below")).unwrap();
        std::fs::create_dir_all(dir.join("tree2")).unwrap();
        std::os::unix::fs::symlink("/", dir.join("root")).unwrap();
        std::os::unix::fs::symlink(dir.join("tree"), dir.join("link")).unwrap();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let relabel = Relabel {
            label: "u:r:t:s0".into(),
            refused: vec!["/".into(), "/no/such".into()],
            refused_trees: vec![text(&dir.join("link"))],
            ..Relabel::default()
        };
        for (path, refused) in [("root", true), ("tree", true), ("link/below", true), ("tree2", false), ("", false)] {
            let path = dir.join(path);
            let found = relabel.refuse(open(&path).as_fd(), &text(&path));
            assert_eq!(found.is_err_and(|e| e.kind == Kind::Invalid), refused, "{path:?}");
        }
        // what is refused is refused before anything is labelled
        let error = relabel.apply(open(Path::new("/")).as_fd(), "/").unwrap_err();
        assert_eq!(error.detail, "give the SELinux context to /: / is the host's own");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_label_that_is_none_labels_nothing() {
        let relabel = Relabel { label: "u:r:t\"".into(), files: vec!["/".into()], ..Relabel::default() };
        assert_eq!(relabel.apply(open(Path::new("/")).as_fd(), "/").unwrap_err().kind, Kind::Invalid);
        assert!(relabel.holds("/") && !relabel.holds("/x"));
    }
}
