//! What is in an archive, without reading more of it than headers and a few small files.

use super::entry::{EntryReader, failed, is_directory, open_archive, open_in};
use crate::blob::MAX_IN_MEMORY;
use crate::cause::{Cause, FetchError};
use crate::compression::{Compression, decoder, of_bytes};
use crate::piece::PIECE;
use crate::request::EntryAt;
use podwright_rootfs::tar::{FileSource, Kind, MetaLimits, TarReader};
use podwright_rootfs::{UnpackError, remove_now};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Files in an archive at most: an image has a few for each layer.
const MAX_ENTRIES: u64 = 100_000;
/// The files whose text comes with the index.
const DESCRIBING: [&str; 4] = ["manifest.json", "index.json", "oci-layout", "repositories"];

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its name, without a leading `./`.
    pub name: String,
    /// Where its contents begin in the tar; 0 in a directory.
    pub offset: u64,
    /// Bytes of its contents.
    pub size: u64,
}

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveIndex {
    /// What to name for reading: the archive, or a tar inflated from it.
    pub path: PathBuf,
    /// Whether `path` was made here and is the caller's to remove.
    pub temporary: bool,
    /// Regular files, links resolved.
    pub entries: Vec<ArchiveEntry>,
    /// Text of the describing files.
    pub files: BTreeMap<String, String>,
}

/// Lists an archive; a compressed one is inflated into `work_dir` first.
pub fn index(path: &Path, work_dir: &Path) -> Result<ArchiveIndex, FetchError> {
    let list = || {
        let mut archive = open_archive(path)?;
        if is_directory(&archive, path)? {
            return describe(path.to_owned(), false, list_directory(&archive, path)?);
        }
        let mut start = [0; 8];
        let there = archive.read_at(&mut start, 0).map_err(|e| failed("read archive", "pread", &e, path))?;
        let (plain, temporary) = match of_bytes(&start[..there])? {
            Compression::Plain => (path.to_owned(), false),
            compression => {
                let (plain, file) = inflate(archive, compression, work_dir)?;
                archive = file;
                (plain, true)
            }
        };
        let described = list_tar(archive, &plain).and_then(|entries| describe(plain.clone(), temporary, entries));
        if described.is_err() && temporary {
            // The failure is what is reported; it lies in the caller's own work directory.
            let _ = remove_now(&plain);
        }
        described
    };
    list().map_err(|cause| FetchError {
        operation: "read archive",
        object: path.display().to_string(),
        from: String::new(),
        cause: Box::new(cause),
    })
}

fn describe(path: PathBuf, temporary: bool, entries: Vec<ArchiveEntry>) -> Result<ArchiveIndex, Cause> {
    let mut files = BTreeMap::new();
    for entry in entries.iter().filter(|entry| DESCRIBING.contains(&entry.name.as_str())) {
        if entry.size > MAX_IN_MEMORY {
            return Err(Cause::TooLarge { what: "bytes of a file in memory", max: MAX_IN_MEMORY });
        }
        let at = EntryAt { name: entry.name.clone(), offset: entry.offset, size: entry.size };
        let data = EntryReader::open(&path, &at)?.all()?;
        let text = String::from_utf8(data).map_err(|_| Cause::Archive(format!("{} is not text", entry.name)))?;
        files.insert(entry.name.clone(), text);
    }
    Ok(ArchiveIndex { path, temporary, entries, files })
}

fn inflate(archive: File, compression: Compression, work_dir: &Path) -> Result<(PathBuf, File), Cause> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let path = work_dir.join(format!("archive-{}-{}.tar", std::process::id(), COUNT.fetch_add(1, Relaxed)));
    let mut open = std::fs::OpenOptions::new();
    open.read(true).write(true).create_new(true).mode(0o600);
    let mut file = open.open(&path).map_err(|e| failed("inflate archive to", "open", &e, &path))?;
    let source = BufReader::with_capacity(PIECE, archive);
    let copied = (|| {
        let mut decoder = decoder(source, compression).map_err(|e| Cause::Inflate(e.to_string()))?;
        let mut buffer = vec![0; PIECE];
        loop {
            let count = decoder.read(&mut buffer).map_err(|e| Cause::Inflate(e.to_string()))?;
            if count == 0 {
                return file.rewind().map_err(|e| failed("inflate archive to", "lseek", &e, &path));
            }
            file.write_all(&buffer[..count]).map_err(|e| failed("inflate archive to", "write", &e, &path))?;
        }
    })();
    match copied {
        Ok(()) => Ok((path, file)),
        Err(cause) => {
            // The failure is what is reported; it lies in the caller's own work directory.
            let _ = remove_now(&path);
            Err(cause)
        }
    }
}

/// Files of a tar with their offsets; links inside it lead to what they name, others are left out.
fn list_tar(file: File, path: &Path) -> Result<Vec<ArchiveEntry>, Cause> {
    let source = FileSource::new(file).map_err(|e| failed("read archive", "read", &e, path))?;
    let limits = MetaLimits { max_entries: MAX_ENTRIES, max_path_bytes: 4095, max_xattr_bytes: 64 << 10 };
    let mut reader = TarReader::new(source, limits);
    let mut files: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut links: Vec<(String, String)> = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(not_a_layer)? {
        let Some(name) = normal(&String::from_utf8_lossy(&entry.path)) else { continue };
        let link = String::from_utf8_lossy(&entry.link).into_owned();
        match entry.kind {
            Kind::File if entry.sparse.is_none() => {
                files.insert(name, (reader.position(), entry.size));
            }
            Kind::HardLink => links.extend(normal(&link).map(|target| (name, target))),
            Kind::Symlink if !link.starts_with('/') => {
                let directory = name.rfind('/').map_or("", |slash| &name[..slash]);
                links.extend(normal(&format!("{directory}/{link}")).map(|target| (name, target)));
            }
            _ => {}
        }
    }
    // docker save writes a link for a layer that an image has twice; a few rounds resolve links to links.
    for _ in 0..4 {
        links.retain(|(name, target)| {
            let Some(place) = files.get(target).copied() else { return true };
            files.insert(name.clone(), place);
            false
        });
    }
    Ok(files.into_iter().map(|(name, (offset, size))| ArchiveEntry { name, offset, size }).collect())
}

/// A name inside the archive: `.` dropped, `..` resolved; `None` if it leads out or is empty.
fn normal(name: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { None } else { Some(parts.join("/")) }
}

/// The tar here is the archive's own, not a layer's.
fn not_a_layer(error: UnpackError) -> Cause {
    match error {
        UnpackError::Malformed { reason, .. } => Cause::Archive(reason.to_owned()),
        UnpackError::LayerTooLarge { what, max, .. } => Cause::Archive(format!("more than {max} {what}")),
        UnpackError::Read(e) => Cause::Archive(e.to_string()),
        UnpackError::Disk(e) => Cause::Disk(e),
    }
}

/// Files of an OCI layout directory: the describing ones and `blobs/<algorithm>/<hex>`.
fn list_directory(dir: &File, path: &Path) -> Result<Vec<ArchiveEntry>, Cause> {
    let mut names: Vec<String> =
        DESCRIBING.iter().map(|name| (*name).to_owned()).filter(|name| path.join(name).is_file()).collect();
    for algorithm in ["sha256", "sha512"] {
        let blobs = path.join("blobs").join(algorithm);
        let listed = match std::fs::read_dir(&blobs) {
            Ok(listed) => listed,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(failed("list", "open", &e, &blobs)),
        };
        for entry in listed.take(MAX_ENTRIES as usize) {
            let entry = entry.map_err(|e| failed("list", "getdents64", &e, &blobs))?;
            names.push(format!("blobs/{algorithm}/{}", entry.file_name().to_string_lossy()));
        }
    }
    names.sort();
    let sized = |name: String| {
        let size = open_in(dir, path, &name)?.metadata().map_err(|e| failed("look at", "fstat", &e, path))?.len();
        Ok(ArchiveEntry { name, offset: 0, size })
    };
    names.into_iter().map(sized).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_and_kept_inside() {
        assert_eq!(normal("./a//b/../c").as_deref(), Some("a/c"));
        assert_eq!(normal("a/../../b"), None);
        assert_eq!(normal("./"), None);
    }
}
