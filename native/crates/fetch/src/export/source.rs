//! Where an exported blob's bytes come from; each source is held against its digest.

use crate::archive::EntryReader;
use crate::blob::disk;
use crate::cause::Cause;
use crate::digest::{Digest, Hasher};
use crate::job::Job;
use crate::layer_dir::{has_index, open_index};
use crate::piece::PIECE;
use crate::request::EntryAt;
use podwright_rootfs::{RebuildError, rebuild_tar};
use podwright_sys::errno::SysError;
use rustix::fs::{self, Mode, OFlags};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// The tar of an unpacked layer: its length.
pub(crate) fn layer(layer: &Path, diff_id: &Digest, job: &Job, out: &mut dyn Write) -> Result<u64, Cause> {
    if !has_index(layer)? {
        return Err(Cause::Layer("it was unpacked without a tar index".to_owned()));
    }
    let mut checked = Checked { hasher: diff_id.hasher(), bytes: 0, job, out };
    let bytes = rebuild_tar(layer, || open_index(layer), &mut checked).map_err(|error| match error {
        RebuildError::Disk(e) => Cause::Disk(e),
        RebuildError::Write(e) => job.check().err().unwrap_or_else(|| e.into()),
        other => Cause::Layer(other.to_string()),
    })?;
    let got = checked.hasher.finish();
    if got == *diff_id {
        Ok(bytes)
    } else {
        Err(Cause::Mismatch { what: "diff id", got: got.to_string(), expected: diff_id.to_string() })
    }
}

/// A file with a digest: a kept blob, a file of an artifact.
pub(crate) fn file(path: &Path, (digest, size): (&Digest, u64), job: &Job, out: &mut dyn Write) -> Result<(), Cause> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = fs::open(path, flags, Mode::empty()).map_err(|e| disk("read blob", "open", e, path))?;
    let (mut file, mut buffer) = (File::from(fd), vec![0; PIECE]);
    let mut checked = Checked { hasher: digest.hasher(), bytes: 0, job, out };
    // One byte more than it should have tells one that is too long.
    let mut left = size + 1;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = match file.read(&mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(SysError::from_io("read blob", "read", &e, path.to_string_lossy()).into()),
        };
        checked.write_all(&buffer[..count]).map_err(|e| job.check().err().unwrap_or_else(|| e.into()))?;
        left -= count as u64;
    }
    if checked.bytes != size {
        return Err(Cause::Mismatch { what: "size", got: checked.bytes.to_string(), expected: size.to_string() });
    }
    checked.held_against(digest)
}

/// A file of an archive.
pub(crate) fn entry(
    archive: &Path,
    entry: &EntryAt,
    digest: &Digest,
    job: &Job,
    out: &mut dyn Write,
) -> Result<(), Cause> {
    let mut reader = EntryReader::open(archive, entry)?;
    let mut checked = Checked { hasher: digest.hasher(), bytes: 0, job, out };
    while let Some(piece) = reader.piece(job.pool())? {
        checked.write_all(&piece).map_err(|e| job.check().err().unwrap_or_else(|| e.into()))?;
    }
    checked.held_against(digest)
}

/// Hashes what passes, tells how far it is, and ends when the caller wants no more.
struct Checked<'a> {
    hasher: Hasher,
    bytes: u64,
    job: &'a Job,
    out: &'a mut dyn Write,
}

impl Checked<'_> {
    fn held_against(self, digest: &Digest) -> Result<(), Cause> {
        let got = self.hasher.finish();
        if got == *digest {
            Ok(())
        } else {
            Err(Cause::Mismatch { what: "digest", got: got.to_string(), expected: digest.to_string() })
        }
    }
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.job.check().map_err(|_| io::Error::other("cancelled"))?;
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.job.got(self.bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
