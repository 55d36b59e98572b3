//! Where an exported blob goes: the next entry of a tar, or a file of a directory.

use crate::blob::{BlobFile, disk};
use crate::cause::{Cause, FetchError};
use crate::digest::Digest;
use crate::request::ExportInto;
use podwright_sys::errno::SysError;
use rustix::fs::{self, FileType, Mode, OFlags};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const BLOCK: u64 = 512;

/// A blob in the making.
pub(crate) struct Output {
    place: Place,
    failed: Option<Cause>,
}

enum Place {
    /// At the end of a tar: its header is written when digest and length are known.
    Tar { file: File, path: PathBuf, begin: u64, name: Option<String> },
    /// A file of its own: under a temporary name until then.
    File { file: Option<BlobFile>, directory: PathBuf },
}

impl Output {
    pub(crate) fn open(into: &ExportInto) -> Result<Self, Cause> {
        let place = match into {
            ExportInto::Archive { path, inode, name } => {
                let mut file = open_made(path, inode)?;
                let begin = file
                    .seek(SeekFrom::End(0))
                    .and_then(|begin| file.write_all(&[0; BLOCK as usize]).map(|()| begin))
                    .map_err(|e| failed(&e, path))?;
                Place::Tar { file, path: path.clone(), begin, name: name.clone() }
            }
            ExportInto::Directory { path } => {
                let file = BlobFile::create(&path.join("blob"))?;
                Place::File { file: Some(file), directory: path.clone() }
            }
        };
        Ok(Self { place, failed: None })
    }

    /// Why writing failed, once.
    pub(crate) fn failed(&mut self) -> Option<Cause> {
        self.failed.take()
    }

    /// Gives the blob its name: that of the request, else the one an OCI layout has for it.
    pub(crate) fn commit(&mut self, digest: &Digest, bytes: u64) -> Result<(), Cause> {
        let (algorithm, hex) = digest.as_str().split_once(':').ok_or(Cause::Request("a digest is malformed"))?;
        match &mut self.place {
            Place::Tar { file, path, begin, name } => {
                let name = name.clone().unwrap_or_else(|| format!("blobs/{algorithm}/{hex}"));
                let padding = vec![0; (bytes.next_multiple_of(BLOCK) - bytes) as usize];
                file.write_all(&padding)
                    .and_then(|()| file.write_all_at(&header(&name, bytes), *begin))
                    .map_err(|e| failed(&e, path))
            }
            Place::File { file, directory } => match file.take() {
                Some(file) => file.commit_as(&directory.join(hex)),
                None => Ok(()),
            },
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.place {
            Place::Tar { file, path, .. } => file.write_all(bytes).map_err(|e| failed(&e, path)),
            Place::File { file: Some(file), .. } => file.write(bytes),
            Place::File { file: None, .. } => Ok(()),
        };
        match written {
            Ok(()) => Ok(bytes.len()),
            Err(cause) => {
                self.failed = Some(cause);
                Err(io::Error::other("the output failed"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes an empty tar where nothing is: its inode's number, by which those who write it know it.
///
/// # Errors
/// Of making it; also where something is.
pub fn begin_archive(path: &Path) -> Result<String, FetchError> {
    let begin = || {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            fs::open(path, flags, Mode::from_raw_mode(0o600)).map_err(|e| disk("write archive", "open", e, path))?;
        let stat = fs::fstat(&fd).map_err(|e| disk("write archive", "fstat", e, path))?;
        Ok(stat.st_ino.to_string())
    };
    begin().map_err(|cause| FetchError {
        operation: "save",
        object: path.display().to_string(),
        from: String::new(),
        cause: Box::new(cause),
    })
}

/// Opens the tar that the caller made: what somebody put in its place since, in a directory of theirs, is not written.
fn open_made(path: &Path, inode: &str) -> Result<File, Cause> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = fs::open(path, flags, Mode::empty()).map_err(|e| disk("write archive", "open", e, path))?;
    let stat = fs::fstat(&fd).map_err(|e| disk("write archive", "fstat", e, path))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_ino.to_string() == inode {
        Ok(File::from(fd))
    } else {
        Err(Cause::Archive(format!("{} was replaced while it was written", path.display())))
    }
}

/// Ends the tar at `path`, syncs it, and puts it in its place: over a file that is there.
///
/// # Errors
/// Of writing, or of the rename.
pub fn finish_archive(path: &Path, inode: &str, to: &Path) -> Result<u64, FetchError> {
    let finish = || {
        let mut file = open_made(path, inode)?;
        file.seek(SeekFrom::End(0))
            .and_then(|_| file.write_all(&[0; 2 * BLOCK as usize]))
            .and_then(|()| file.sync_data())
            .map_err(|e| failed(&e, path))?;
        let bytes = file.metadata().map_err(|e| failed(&e, path))?.len();
        fs::rename(path, to).map_err(|e| disk("put archive in its place", "rename", e, to))?;
        podwright_rootfs::sync_dir(to.parent().unwrap_or(Path::new("/")))?;
        Ok(bytes)
    };
    finish().map_err(|cause| FetchError {
        operation: "save",
        object: to.display().to_string(),
        from: String::new(),
        cause: Box::new(cause),
    })
}

fn failed(error: &io::Error, path: &Path) -> Cause {
    Cause::Disk(SysError::from_io("write archive", "write", error, path.to_string_lossy()))
}

/// A regular file's header (tar(5), ustar): root's, readable by all, with no time, so that archives of equal images are equal.
fn header(name: &str, bytes: u64) -> [u8; BLOCK as usize] {
    let mut block = [0_u8; BLOCK as usize];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if bytes < 1 << 33 {
        put(124, format!("{bytes:011o}\0").as_bytes());
    } else {
        // Base 256, as GNU and Go write what eleven octal digits cannot hold.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &bytes.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn sizes_of_all_magnitudes_fit_a_header() {
        assert_eq!(&header("a", 0o777_7777_7777)[124..136], b"77777777777\0");
        assert_eq!(&header("a", 1 << 33)[124..136], &[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }
}
