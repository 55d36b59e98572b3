//! One container's checkpoint as one tar: it appears under its name when it is whole.

use crate::capture::Watch;
use crate::error::{CriuResult, failed, io_failed};
use podwright_rootfs::archive;
use podwright_rootfs::tar::TarWriter;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;

/// A file in the making beside the one it will replace; removed unless it is finished.
#[derive(Debug)]
pub struct Export {
    file: Option<File>,
    new: String,
    path: String,
}

impl Export {
    /// Makes the file: a place that cannot be written is known before anything stands still.
    ///
    /// # Errors
    /// The errno of open.
    pub fn begin(path: &str) -> CriuResult<Self> {
        let new = format!("{path}.{}.new", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR).map_err(failed("make", "open", &*new))?;
        Ok(Self { file: Some(file.into()), new, path: path.into() })
    }

    /// Writes all that is in a directory and gives the file its name.
    ///
    /// # Errors
    /// The failing call; it was given up.
    pub fn finish(mut self, tree: OwnedFd, watch: Watch<'_>) -> CriuResult<()> {
        let write_failed = || io_failed("write", "write", &*self.path);
        let Some(file) = self.file.take() else { return Ok(()) };
        let mut tar = TarWriter::new(BufWriter::with_capacity(256 << 10, Patient::new(file, watch)));
        archive::write_tree(tree, &mut tar)?;
        let out = tar.finish().map_err(write_failed())?;
        let patient = out.into_inner().map_err(|e| write_failed()(e.into_error()))?;
        patient.file.sync_all().map_err(io_failed("sync", "fsync", &*self.path))?;
        std::fs::rename(&self.new, &self.path).map_err(io_failed("name", "rename", &*self.path))?;
        self.new.clear();
        Ok(())
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if !self.new.is_empty() {
            // The failure that led here says more than this one could.
            let _ = std::fs::remove_file(&self.new);
        }
    }
}

/// Writing that ends when nobody waits for it any more.
pub(crate) struct Patient<'a> {
    file: File,
    watch: Watch<'a>,
}

impl<'a> Patient<'a> {
    pub(crate) fn new(file: File, watch: Watch<'a>) -> Self {
        Self { file, watch }
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.watch.is_given_up() {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::CANCELED.raw_os_error()));
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
