//! Whole layers: from a registry or an archive into a staging directory that is complete and synced, or gone.

use crate::archive::EntryReader;
use crate::blob::{BlobFile, disk, host_of};
use crate::cause::{Cause, FetchError};
use crate::compression::of_media_type;
use crate::digest::Digest;
use crate::download::download;
use crate::job::{Job, Stage};
use crate::layer_dir::LayerDir;
use crate::pipeline::{Done, Feed, Wanted, run};
use crate::request::{Destination, FetchLayer, UnpackFromArchive};
use podwright_rootfs::{
    Limits, TreeUsage, implied_usage, remove_now, spread_directories, sync_fs, tree_usage, write_implied,
};
use podwright_sys::steps;
use rustix::fs::{self, Mode, OFlags};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A layer in its staging directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedLayer {
    /// Digest of the bytes as they came.
    pub blob_digest: Digest,
    /// Their number.
    pub blob_bytes: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of file contents.
    pub unpacked_bytes: u64,
    /// Bytes that the layer's directory takes on the disk, its index and bookkeeping with it.
    pub disk_bytes: u64,
    /// Inodes in it.
    pub inodes: u64,
    /// Entries of the tar that were carried out.
    pub entries: u64,
}

/// Downloads, verifies, inflates and unpacks one layer. Four run at once in this process, others wait.
pub fn fetch_layer(request: &FetchLayer, job: &Job) -> Result<UnpackedLayer, FetchError> {
    let source = request.source();
    let from = host_of(&source.url);
    let fetch = || {
        let (blob, diff_id) = (Digest::parse(&request.expected.digest)?, Digest::parse(&request.expected.diff_id)?);
        let compression = of_media_type(&request.expected.media_type)?;
        let limits = Limits::from(request.limits);
        let wanted = Wanted { blob: Some(&blob), diff_id: &diff_id, compression, limits: &limits };
        unpack(&wanted, &request.destination, job, |feed| {
            download(&source, request.expected.size, job, feed)?;
            job.stage(Stage::Unpacking);
            Ok(())
        })
    };
    fetch().map_err(|cause| FetchError {
        operation: "fetch layer",
        object: request.expected.digest.clone(),
        from,
        cause: Box::new(cause),
    })
}

/// The same from a file of an archive.
pub fn unpack_from_archive(request: &UnpackFromArchive, job: &Job) -> Result<UnpackedLayer, FetchError> {
    let unpack = || {
        let blob = request.expected.digest.as_deref().map(Digest::parse).transpose()?;
        let diff_id = Digest::parse(&request.expected.diff_id)?;
        let limits = Limits::from(request.limits);
        let wanted = Wanted { blob: blob.as_ref(), diff_id: &diff_id, compression: None, limits: &limits };
        let mut reader = EntryReader::open(&request.path, &request.entry)?;
        unpack(&wanted, &request.destination, job, move |feed| {
            job.stage(Stage::Unpacking);
            let mut bytes = 0;
            while let Some(piece) = reader.piece(job.pool())? {
                job.check()?;
                bytes += piece.len() as u64;
                job.got(bytes);
                feed(piece)?;
            }
            Ok(())
        })
    };
    let from = format!("{} in {}", request.entry.name, request.path.display());
    unpack().map_err(|cause| FetchError {
        operation: "unpack layer",
        object: request.expected.diff_id.clone(),
        from,
        cause: Box::new(cause),
    })
}

fn unpack(
    wanted: &Wanted<'_>,
    destination: &Destination,
    job: &Job,
    source: impl FnOnce(&mut Feed<'_>) -> Result<(), Cause> + Send,
) -> Result<UnpackedLayer, Cause> {
    let _slot = job.slot()?;
    let mut kept = destination.keep_blob_path.as_deref().map(BlobFile::create).transpose()?;
    let (staging, root) = Staging::make(&destination.staging_dir)?;
    steps::pass("layer staged")?;
    let result = run(wanted, job, LayerDir::new(&staging.path, root), |feed| {
        source(&mut |piece| {
            steps::pass("layer piece arrived")?;
            if let Some(file) = &mut kept {
                file.write(&piece)?;
            }
            feed(piece)
        })
    });
    let finished = result.and_then(|done| {
        steps::pass("layer unpacked")?;
        job.stage(Stage::Syncing);
        write_implied(&staging.path, &done.applied.implied)?;
        sync_fs(&staging.path)?;
        steps::pass("layer synced")?;
        if let Some(file) = kept {
            file.commit()?;
        }
        job.check()?;
        Ok((done, lasting_usage(&staging.path)?))
    });
    match finished {
        Ok((done, usage)) => {
            staging.keep();
            Ok(unpacked(done, &usage, wanted))
        }
        Err(cause) => Err(cause),
    }
}

fn unpacked(done: Done, usage: &TreeUsage, wanted: &Wanted<'_>) -> UnpackedLayer {
    UnpackedLayer {
        blob_digest: done.blob_digest,
        blob_bytes: done.blob_bytes,
        diff_id: wanted.diff_id.clone(),
        unpacked_bytes: done.applied.bytes,
        disk_bytes: usage.bytes,
        inodes: usage.inodes,
        entries: done.applied.entries,
    }
}

/// What the layer's directory takes for good: the note on implied directories goes when they are settled.
fn lasting_usage(path: &Path) -> Result<TreeUsage, Cause> {
    let mut usage = tree_usage(path)?;
    if let Some(note) = implied_usage(path)? {
        usage.bytes = usage.bytes.saturating_sub(note.bytes);
        usage.inodes = usage.inodes.saturating_sub(note.inodes);
    }
    Ok(usage)
}

/// A staging directory that is removed unless kept, after a panic too.
struct Staging {
    path: PathBuf,
    kept: bool,
}

impl Staging {
    /// Makes it (0700: nobody else looks into a layer in the making) with `diff/` (0755), and opens that.
    fn make(path: &Path) -> Result<(Self, OwnedFd), Cause> {
        if let Some(layers) = path.parent() {
            spread_directories(layers)?;
        }
        fs::mkdir(path, Mode::from_raw_mode(0o700)).map_err(|e| disk("make staging directory", "mkdir", e, path))?;
        let staging = Self { path: path.to_owned(), kept: false };
        let diff = path.join("diff");
        fs::mkdir(&diff, Mode::from_raw_mode(0o755)).map_err(|e| disk("make directory", "mkdir", e, &diff))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = fs::open(&diff, flags, Mode::empty()).map_err(|e| disk("open directory", "open", e, &diff))?;
        // mkdir is subject to the umask.
        fs::fchmod(&root, Mode::from_raw_mode(0o755)).map_err(|e| disk("set the mode of", "fchmod", e, &diff))?;
        Ok((staging, root))
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept {
            // The failure that led here is reported; what stays under a staging name is swept at the next start.
            let _ = remove_now(&self.path);
        }
    }
}
