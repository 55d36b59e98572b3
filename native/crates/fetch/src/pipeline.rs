//! One layer's stages, each on a thread: source and blob's digest | inflate | diff id, and unpacking beside it.
//! Bounded pipes between them keep memory at a few MiB; the slowest stage sets the pace.

use crate::cause::Cause;
use crate::compression::{Compression, decoder, verified};
use crate::digest::{Digest, Hasher};
use crate::job::Job;
use crate::layer_dir::LayerDir;
use crate::piece::Piece;
use crate::pipe::{Reader, Writer, is_gone, pipe};
use podwright_rootfs::{AppliedLayer, Limits, UnpackError};
use podwright_sys::errno::SysError;
use podwright_sys::priority::set_thread_behind_process;
use std::io::{BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

/// Unpacking gives way to the daemon and to containers: so many steps behind the daemon.
const NICE: i32 = 5;
/// Below this a ratio says nothing: a small archive of one sparse file is no attack.
const RATIO_FROM: u64 = 16 << 20;

/// What a layer must be and may cost.
pub(crate) struct Wanted<'a> {
    /// Digest of the bytes as they come, where known.
    pub(crate) blob: Option<&'a Digest>,
    pub(crate) diff_id: &'a Digest,
    pub(crate) compression: Option<Compression>,
    pub(crate) limits: &'a Limits,
}

/// A layer that was verified and unpacked, not synced yet.
pub(crate) struct Done {
    pub(crate) blob_digest: Digest,
    pub(crate) blob_bytes: u64,
    pub(crate) applied: AppliedLayer,
}

/// Takes the pieces of the blob; gives them to a file too where it is kept.
pub(crate) type Feed<'a> = dyn FnMut(Piece) -> Result<(), Cause> + 'a;

/// Runs the stages: `source` calls its argument with each piece of the blob.
pub(crate) fn run(
    wanted: &Wanted<'_>,
    job: &Job,
    layer: LayerDir,
    source: impl FnOnce(&mut Feed<'_>) -> Result<(), Cause> + Send,
) -> Result<Done, Cause> {
    let (taken, inflated, hashed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (blob_out, blob_in) = pipe(job, &taken);
    let (hash_out, hash_in) = pipe(job, &hashed);
    let (tar_out, tar_in) = pipe(job, &inflated);
    // Set by a stage whose failure makes the rest of the blob uninteresting.
    let hopeless = AtomicBool::new(false);
    let inflater =
        Inflater { wanted, job, to_hash: hash_out, to_tar: tar_out, taken: &taken, hopeless: &hopeless, total: 0 };
    let (source, inflate, hash, unpack) = scope(|scope| {
        let first = wanted.blob.unwrap_or(wanted.diff_id).hasher();
        let source = start(scope, "source", || feed(source, first, blob_out, &hopeless));
        let inflate = start(scope, "inflate", || inflater.run(blob_in));
        let hash = start(scope, "hash", || hash(hash_in, wanted.diff_id.hasher()));
        polite();
        let unpack = layer.apply(tar_in, wanted.limits).map_err(Cause::Unpack);
        if matches!(unpack, Err(Cause::Unpack(UnpackError::LayerTooLarge { .. } | UnpackError::Disk(_)))) {
            hopeless.store(true, Relaxed);
        }
        (join(source), join(inflate), join(hash), unpack)
    });
    let stages = Stages { source, inflate, hash, unpack };
    stages.outcome(wanted, job)
}

/// What each stage came to.
struct Stages {
    source: Result<(Digest, u64), Cause>,
    inflate: Result<Inflated, Cause>,
    hash: Result<Digest, Cause>,
    unpack: Result<AppliedLayer, Cause>,
}

impl Stages {
    /// All well, or the one cause to report.
    fn outcome(self, wanted: &Wanted<'_>, job: &Job) -> Result<Done, Cause> {
        job.check()?;
        // A blob that is not the one asked for explains whatever failed after it.
        if let (Ok((digest, _)), Some(blob)) = (&self.source, wanted.blob)
            && digest != blob
        {
            return Err(mismatch("digest", digest, blob));
        }
        let ((blob_digest, blob_bytes), inflated, hashed, applied) =
            match (self.source, self.inflate, self.hash, self.unpack) {
                (Ok(source), Ok(inflated), Ok(hashed), Ok(applied)) => (source, inflated, hashed, applied),
                (source, inflate, hash, unpack) => {
                    return Err(first_own([source.err(), inflate.err(), hash.err(), unpack.err()]));
                }
            };
        let diff_id = if inflated == Inflated::SameBytes { &blob_digest } else { &hashed };
        if diff_id != wanted.diff_id {
            return Err(mismatch("diff id", diff_id, wanted.diff_id));
        }
        Ok(Done { blob_digest, blob_bytes, applied })
    }
}

/// The first cause in the order of the stages that is not merely another stage's.
fn first_own(causes: [Option<Cause>; 4]) -> Cause {
    let own = |cause: &Cause| !matches!(cause, Cause::OtherStage | Cause::Unpack(UnpackError::Read(_)));
    causes.into_iter().flatten().find(own).unwrap_or(Cause::OtherStage)
}

/// Whether the diff id was hashed apart, or is the blob's own digest.
#[derive(PartialEq, Eq)]
enum Inflated {
    OtherBytes,
    SameBytes,
}

fn feed(
    source: impl FnOnce(&mut Feed<'_>) -> Result<(), Cause>,
    mut hasher: Hasher,
    out: Writer,
    hopeless: &AtomicBool,
) -> Result<(Digest, u64), Cause> {
    let (mut out, mut bytes) = (Some(out), 0);
    source(&mut |piece| {
        hasher.update(&piece);
        bytes += piece.len() as u64;
        if out.as_ref().is_some_and(|out| out.write(Arc::new(piece)).is_err()) {
            out = None;
        }
        // Unpacking failed: the rest is still read, to tell a damaged download from a malformed layer.
        if out.is_none() && hopeless.load(Relaxed) { Err(Cause::OtherStage) } else { Ok(()) }
    })?;
    if let Some(out) = out {
        // A reader that is gone has failed by itself and says so.
        let _ = out.end();
    }
    Ok((hasher.finish(), bytes))
}

struct Inflater<'a> {
    wanted: &'a Wanted<'a>,
    job: &'a Job,
    to_hash: Writer,
    to_tar: Writer,
    taken: &'a AtomicU64,
    hopeless: &'a AtomicBool,
    total: u64,
}

impl Inflater<'_> {
    fn run(mut self, mut blob: Reader<'_>) -> Result<Inflated, Cause> {
        let start = blob.fill_buf().map_err(inflate_failed)?;
        let compression = verified(start, self.wanted.compression)?;
        let first = self.wanted.blob.unwrap_or(self.wanted.diff_id);
        let result = if compression == Compression::Plain && first.same_algorithm(self.wanted.diff_id) {
            while let Some(piece) = blob.piece()? {
                self.count(piece.len())?;
                self.to_tar.write(piece)?;
            }
            Inflated::SameBytes
        } else {
            self.inflate(blob, compression)?;
            Inflated::OtherBytes
        };
        self.to_hash.end()?;
        self.to_tar.end()?;
        Ok(result)
    }

    fn inflate(&mut self, blob: Reader<'_>, compression: Compression) -> Result<(), Cause> {
        let mut decoder = decoder(blob, compression).map_err(inflate_failed)?;
        loop {
            let mut piece = self.job.pool().piece()?;
            while !piece.is_full() {
                match decoder.read(piece.room()) {
                    Ok(0) => break,
                    Ok(count) => piece.filled(count),
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => return Err(inflate_failed(e)),
                }
            }
            let more = piece.is_full();
            self.count(piece.len())?;
            let piece = Arc::new(piece);
            self.to_hash.write(Arc::clone(&piece))?;
            self.to_tar.write(piece)?;
            if !more {
                return Ok(());
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Cause> {
        self.total += bytes as u64;
        self.job.unpacked(self.total);
        let limits = self.wanted.limits;
        let ratio_exceeded = self.total > RATIO_FROM && self.total / self.taken.load(Relaxed).max(1) > limits.max_ratio;
        let (what, max) = if self.total > limits.max_bytes {
            ("bytes uncompressed", limits.max_bytes)
        } else if ratio_exceeded {
            ("bytes for each compressed byte", limits.max_ratio)
        } else {
            return Ok(());
        };
        self.hopeless.store(true, Relaxed);
        Err(Cause::TooLarge { what, max })
    }
}

fn inflate_failed(error: std::io::Error) -> Cause {
    match error.kind() {
        _ if is_gone(&error) => Cause::OtherStage,
        ErrorKind::UnexpectedEof => Cause::Inflate("the stream ends early".to_owned()),
        _ => Cause::Inflate(error.to_string()),
    }
}

fn hash(mut source: Reader<'_>, mut hasher: Hasher) -> Result<Digest, Cause> {
    while let Some(piece) = source.piece()? {
        hasher.update(&piece);
    }
    Ok(hasher.finish())
}

type Running<'scope, T> = Result<ScopedJoinHandle<'scope, Result<T, Cause>>, Cause>;

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> Result<T, Cause> + Send + 'scope,
) -> Running<'scope, T> {
    let run = || {
        polite();
        work()
    };
    Builder::new()
        .name(format!("podwright-{name}"))
        .spawn_scoped(scope, run)
        .map_err(|e| Cause::Disk(SysError::from_io("start a thread", "clone", &e, name)))
}

fn join<T>(running: Running<'_, T>) -> Result<T, Cause> {
    running?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Without its lower priority a thread is merely less polite.
fn polite() {
    let _ = set_thread_behind_process(NICE);
}

fn mismatch(what: &'static str, got: &Digest, expected: &Digest) -> Cause {
    Cause::Mismatch { what, got: got.to_string(), expected: expected.to_string() }
}
