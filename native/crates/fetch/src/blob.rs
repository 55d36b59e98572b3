//! Single blobs: small ones into memory, any into a file that appears whole and verified.

use crate::cause::{Cause, FetchError};
use crate::digest::Digest;
use crate::download::download;
use crate::job::{Job, Stage};
use crate::request::FetchBlob;
use crate::url::Url;
use podwright_rootfs::sync_dir;
use podwright_sys::errno::SysError;
use podwright_sys::steps;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// No blob larger than this is held in memory.
pub const MAX_IN_MEMORY: u64 = 8 << 20;

/// A blob that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedBlob {
    /// Its bytes; `None` if they went to a file.
    pub data: Option<Vec<u8>>,
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
}

/// Downloads and verifies one blob.
pub fn fetch_blob(request: &FetchBlob, job: &Job) -> Result<FetchedBlob, FetchError> {
    let source = request.source();
    let from = host_of(&source.url);
    let fetch = || {
        let digest = Digest::parse(&request.expected.digest)?;
        let size = request.expected.size;
        let mut file = request.keep_blob_path.as_deref().map(BlobFile::create).transpose()?;
        if file.is_none() && size > MAX_IN_MEMORY {
            return Err(Cause::TooLarge { what: "bytes of a blob in memory", max: MAX_IN_MEMORY });
        }
        let (mut hasher, mut data) = (digest.hasher(), Vec::new());
        download(&source, size, job, &mut |piece| {
            hasher.update(&piece);
            match &mut file {
                Some(file) => file.write(&piece),
                None => {
                    data.extend_from_slice(&piece);
                    Ok(())
                }
            }
        })?;
        let got = hasher.finish();
        if got != digest {
            return Err(Cause::Mismatch { what: "digest", got: got.to_string(), expected: digest.to_string() });
        }
        job.stage(Stage::Syncing);
        let data = if file.is_none() { Some(data) } else { None };
        if let Some(file) = file {
            file.commit()?;
        }
        Ok(FetchedBlob { data, digest, bytes: size })
    };
    fetch().map_err(|cause| FetchError {
        operation: "fetch blob",
        object: request.expected.digest.clone(),
        from,
        cause: Box::new(cause),
    })
}

/// `host:port` of a URL, for messages.
pub(crate) fn host_of(url: &str) -> String {
    Url::parse(url).map(|url| url.authority).unwrap_or_default()
}

/// So many bytes of a file's name are in that of its part.
const MOST_OF_NAME: usize = 100;

/// A blob on its way into a file: beside its place until committed, gone if it never is.
pub(crate) struct BlobFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl BlobFile {
    pub(crate) fn create(path: &Path) -> Result<Self, Cause> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or(Cause::Request("a blob's path has no name"))?;
        let mut unique = std::ffi::OsString::from(".");
        // a name may be as long as a name can be
        unique.push(OsStr::from_bytes(name.as_bytes().get(..MOST_OF_NAME).unwrap_or(name.as_bytes())));
        unique.push(format!(".{}.{}.part", std::process::id(), COUNT.fetch_add(1, Relaxed)));
        let temporary = path.with_file_name(unique);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            fs::open(&temporary, flags, Mode::from_raw_mode(0o600)).map_err(|e| disk("write blob", "open", e, path))?;
        Ok(Self { file: File::from(fd), temporary, path: path.to_owned(), committed: false })
    }

    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), Cause> {
        self.file
            .write_all(piece)
            .map_err(|e| Cause::Disk(SysError::from_io("write blob", "write", &e, self.path.to_string_lossy())))
    }

    /// Syncs it and puts it in its place, over one that is there: the bytes are the same.
    pub(crate) fn commit(self) -> Result<(), Cause> {
        let path = self.path.clone();
        self.commit_as(&path)
    }

    /// The same at another name of the same directory.
    pub(crate) fn commit_as(mut self, path: &Path) -> Result<(), Cause> {
        path.clone_into(&mut self.path);
        fs::fdatasync(&self.file).map_err(|e| disk("sync blob", "fdatasync", e, &self.path))?;
        steps::pass("blob synced")?;
        fs::rename(&self.temporary, &self.path).map_err(|e| disk("commit blob", "rename", e, &self.path))?;
        self.committed = true;
        steps::pass("blob renamed")?;
        Ok(sync_dir(self.path.parent().unwrap_or(Path::new("/")))?)
    }
}

impl Drop for BlobFile {
    fn drop(&mut self) {
        if !self.committed {
            // The failure that led here is reported; a part that stays is swept at the next start.
            let _ = fs::unlink(&self.temporary);
        }
    }
}

pub(crate) fn disk(operation: &'static str, syscall: &'static str, errno: Errno, path: &Path) -> Cause {
    Cause::Disk(SysError::new(operation, syscall, errno.raw_os_error(), path.to_string_lossy()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_the_longest_name() {
        let dir = std::env::temp_dir().join(format!("podwright-blob-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("x".repeat(255));
        let mut file = BlobFile::create(&path).unwrap();
        file.write(b"bytes").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
