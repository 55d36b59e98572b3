//! The files of one cgroup, kept open between reads, and the text of the last one read.

use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, pread};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Why a read gave nothing.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The cgroup was removed after the file was opened.
    Stale,
    /// A failure to report.
    Failed(SysError),
}

/// A file by the place of its name in a list the caller keeps, opened on first use.
#[derive(Debug)]
pub(crate) struct Files {
    open: Vec<(u16, OwnedFd)>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { open: Vec::new() }
    }

    /// How many descriptors are held.
    pub(crate) fn count(&self) -> usize {
        self.open.len()
    }

    /// Closes all of them; the next read opens them again.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }

    /// Reads file number `key`, which is `dir/name`; `None` when there is no such file.
    pub(crate) fn read<'t>(
        &mut self,
        key: u16,
        dir: &Path,
        name: &str,
        text: &'t mut Text,
    ) -> Result<Option<&'t [u8]>, Missing> {
        let at = match self.open.binary_search_by_key(&key, |(k, _)| *k) {
            Ok(at) => at,
            Err(at) => match open(&dir.join(name)).map_err(Missing::Failed)? {
                Some(fd) => {
                    self.open.insert(at, (key, fd));
                    at
                }
                None => return Ok(None),
            },
        };
        match text.fill(&self.open[at].1) {
            Ok(()) => Ok(Some(text.content())),
            Err(Errno::NODEV) => Err(Missing::Stale),
            // Pressure switched off for this cgroup (cgroup.pressure).
            Err(Errno::OPNOTSUPP) => Ok(None),
            Err(e) => {
                Err(Missing::Failed(SysError::new("read", "pread", e.raw_os_error(), dir.join(name).to_string_lossy())))
            }
        }
    }
}

fn open(path: &Path) -> SysResult<Option<OwnedFd>> {
    match openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(e) => Err(SysError::new("open", "openat", e.raw_os_error(), path.to_string_lossy())),
    }
}

/// Room for one file's text, used again and again without being cleared.
#[derive(Debug)]
pub(crate) struct Text {
    room: Vec<u8>,
    length: usize,
}

impl Text {
    pub(crate) fn new() -> Self {
        Self { room: vec![0; 16 * 1024], length: 0 }
    }

    fn content(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// The whole file: a cgroup file comes in one pread unless it fills the room.
    fn fill(&mut self, fd: &OwnedFd) -> rustix::io::Result<()> {
        self.length = 0;
        loop {
            let got = pread(fd, &mut self.room[self.length..], self.length as u64)?;
            self.length += got;
            if self.length < self.room.len() {
                return Ok(());
            }
            self.room.resize(self.room.len() * 2, 0);
        }
    }
}
