//! A checkpoint from its beginning to its end: all containers are frozen before any is captured, none is thawed before all
//! are, and all are whatever happens. For a process that is thrown away: everything here may wait for a disk.

use crate::beside;
use crate::error::{CriuError, CriuResult, failed, io_failed};
use crate::export::{Export, Patient};
use crate::folder::{self, Folder};
use crate::layout;
use crate::log;
use crate::mounts;
use crate::program;
use crate::requests::{self, Choices, Directories};
use crate::session::Session;
use podwright_cgroups::freeze;
use podwright_rootfs::archive;
use podwright_rootfs::tar::TarWriter;
use podwright_sys::buffer::SharedNote;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::CString;
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a cgroup may take to freeze: a process in an uninterruptible wait holds it up.
const FREEZE: Duration = Duration::from_secs(10);

/// A container to be captured.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its id, for messages.
    pub id: String,
    /// Its main process.
    pub pid: i32,
    /// Where in the checkpoint; empty: it is the whole checkpoint.
    pub directory: String,
    /// Directory of its cgroup that has `cgroup.freeze` or `freezer.state`.
    pub freezer: String,
    /// Directory with config.json.
    pub bundle: String,
    /// Its writable layer.
    pub upper: String,
    /// Mount points of what comes from outside.
    pub external: Vec<String>,
    /// Its standard streams as /proc/PID/fd shows them; empty for /dev/null.
    pub streams: [String; 3],
    /// Further files of the checkpoint.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What a checkpoint becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The content of an existing, empty directory.
    Directory(String),
    /// One tar of one container, put together in a directory that is made and removed.
    Archive {
        /// The file.
        file: String,
        /// The directory.
        staging: String,
    },
}

/// A whole checkpoint.
#[derive(Debug, Clone)]
pub struct Capture {
    /// criu's name or path.
    pub program: String,
    /// How criu is asked.
    pub choices: Choices,
    /// Where to.
    pub output: Output,
    /// Which containers.
    pub targets: Vec<Target>,
    /// Content of the manifest, written last; empty for none.
    pub manifest: Vec<u8>,
}

/// How long it was, and how big.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// From the first freeze to the last thaw.
    pub frozen: Duration,
}

/// Who waits: their way to say that they no longer do, and where they read what is being done.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// Becomes readable when the checkpoint is to be given up.
    pub give_up: BorrowedFd<'a>,
    /// What is under way.
    pub note: &'a SharedNote,
}

impl Watch<'_> {
    /// Says what comes next.
    ///
    /// # Errors
    /// It is to be given up.
    pub fn begin(&self, doing: &str) -> CriuResult<()> {
        if self.is_given_up() {
            return Err(CriuError::GivenUp { doing: doing.into() });
        }
        self.note.write(doing);
        Ok(())
    }

    /// Whether it is to be given up.
    pub fn is_given_up(&self) -> bool {
        let mut fds = [PollFd::new(&self.give_up, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }
}

/// Makes a checkpoint. `shm`: the pod's /dev/shm, to be captured too. On failure nothing of it stays.
///
/// # Errors
/// What failed; the containers run again.
pub fn capture(plan: &Capture, shm: Option<BorrowedFd<'_>>, watch: Watch<'_>) -> CriuResult<Figures> {
    let program = program::find(&plan.program)?;
    match &plan.output {
        Output::Directory(path) => {
            watch.begin(&format!("open {path}"))?;
            let mut folder = Folder::open(path).map_err(|e| of_place(e, path))?;
            let figures = fill(plan, &program, &mut folder, shm, watch).map_err(|e| of_place(e, path))?;
            if !plan.manifest.is_empty() {
                folder.file(layout::MANIFEST, &plan.manifest).map_err(|e| of_place(e, path))?;
            }
            watch.begin(&format!("sync {path}"))?;
            folder.keep()?;
            Ok(figures)
        }
        Output::Archive { file, staging } => {
            watch.begin(&format!("make {file}"))?;
            let export = Export::begin(file).map_err(|e| of_place(e, file))?;
            let mut folder = Folder::make(staging)?;
            let figures = fill(plan, &program, &mut folder, shm, watch)?;
            watch.begin(&format!("write {file}"))?;
            export.finish(folder.directory("")?, watch).map_err(|e| of_place(e, file))?;
            Ok(figures)
        }
    }
}

/// A failed call on the checkpoint's place is told as such.
fn of_place(error: CriuError, path: &str) -> CriuError {
    match error {
        CriuError::Sys(e) if program::is_of_the_place(e.errno) => {
            CriuError::Place { path: path.into(), reason: format!("cannot be used: {e}") }
        }
        other => other,
    }
}

fn fill(
    plan: &Capture,
    program: &CString,
    folder: &mut Folder,
    shm: Option<BorrowedFd<'_>>,
    watch: Watch<'_>,
) -> CriuResult<Figures> {
    // all that can fail without the containers' standing still comes before
    let mut places = Vec::new();
    for target in &plan.targets {
        watch.begin(&format!("prepare the checkpoint of container {}", target.id))?;
        places.push(prepare(target, folder)?);
    }
    let start = Instant::now();
    let frozen = Frozen::freeze(&plan.targets, watch)?;
    for target in &plan.targets {
        beside::refuse(&target.id, target.pid, Path::new(&target.freezer))?;
    }
    for (target, place) in plan.targets.iter().zip(&places) {
        watch.begin(&format!("dump container {}", target.id))?;
        dump(target, place, program, plan.choices, watch)?;
    }
    for (target, place) in plan.targets.iter().zip(&places) {
        watch.begin(&format!("archive what container {} has written", target.id))?;
        write_diff(target, place, watch)?;
    }
    if let Some(shm) = shm {
        watch.begin("archive the pod's /dev/shm")?;
        let file = folder.create(layout::SHM)?;
        write_tar(folder::open_at(shm)?, file, layout::SHM, watch)?;
    }
    drop(frozen);
    Ok(Figures { frozen: start.elapsed() })
}

/// The directories of one container in a checkpoint.
struct Place {
    work: OwnedFd,
    images: OwnedFd,
}

fn prepare(target: &Target, folder: &mut Folder) -> CriuResult<Place> {
    let work = folder.directory(&target.directory)?;
    let images = folder::make_directory(work.as_fd(), layout::IMAGES)?;
    let spec = format!("{}/config.json", target.bundle);
    let spec = std::fs::read(&spec).map_err(io_failed("read", "read", spec))?;
    folder::write_file(work.as_fd(), layout::SPEC, &spec)?;
    folder::write_file(work.as_fd(), layout::STREAMS, streams_json(&target.streams).as_bytes())?;
    for (name, content) in &target.files {
        folder::write_file(work.as_fd(), name, content)?;
    }
    Ok(Place { work, images })
}

/// A JSON list of the streams' files. Their names have no characters that JSON escapes.
fn streams_json(streams: &[String; 3]) -> String {
    let shown = streams.each_ref().map(|s| format!("\"{}\"", if s.is_empty() { "/dev/null" } else { s }));
    format!("[{}]\n", shown.join(","))
}

fn dump(target: &Target, place: &Place, program: &CString, choices: Choices, watch: Watch<'_>) -> CriuResult<()> {
    let table = format!("/proc/{}/mountinfo", target.pid);
    let table = std::fs::read_to_string(&table).map_err(io_failed("read", "read", table))?;
    let external = mounts::externals(&table, &target.external);
    folder::write_file(place.work.as_fd(), layout::MOUNTS, mounts::encode(&external).as_bytes())?;
    let at = Directories { images: place.images.as_raw_fd(), work: place.work.as_raw_fd() };
    let request = requests::dump(target.pid, &target.freezer, at, &external, choices);
    let object = format!("container {}", target.id);
    Session::start(program)?.dump(&request, &object, watch.give_up).map_err(|error| match error {
        CriuError::Refused { operation, object, reason } => {
            let told = log::reason_in(place.work.as_fd(), layout::LOG);
            let reason = told.unwrap_or(if reason.is_empty() { "its log says nothing".into() } else { reason });
            CriuError::Refused { operation, object, reason }
        }
        other => other,
    })
}

fn write_diff(target: &Target, place: &Place, watch: Watch<'_>) -> CriuResult<()> {
    let file = folder::create_file(place.work.as_fd(), layout::DIFF)?;
    let deleted = write_tar(archive::open_tree(&target.upper)?, file, layout::DIFF, watch)?;
    folder::write_file(place.work.as_fd(), layout::DELETED, deleted_json(&deleted).as_bytes())
}

fn write_tar(tree: OwnedFd, file: std::fs::File, name: &str, watch: Watch<'_>) -> CriuResult<Vec<Vec<u8>>> {
    let mut tar = TarWriter::new(BufWriter::with_capacity(256 << 10, Patient::new(file, watch)));
    let written = archive::write_tree(tree, &mut tar)?;
    tar.finish().and_then(|mut out| out.flush()).map_err(io_failed("write", "write", name))?;
    Ok(written.deleted)
}

/// A JSON list of paths.
fn deleted_json(paths: &[Vec<u8>]) -> String {
    let mut out = String::from("[");
    for (at, path) in paths.iter().enumerate() {
        out.push_str(if at == 0 { "\"" } else { ",\"" });
        for c in String::from_utf8_lossy(path).chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if u32::from(c) < 0x20 => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push_str("]\n");
    out
}

/// Frozen cgroups, thawed when this goes.
struct Frozen<'a> {
    targets: &'a [Target],
}

impl<'a> Frozen<'a> {
    fn freeze(targets: &'a [Target], watch: Watch<'_>) -> CriuResult<Self> {
        let frozen = Self { targets };
        for target in targets {
            watch.begin(&format!("freeze container {}", target.id))?;
            let dir = Path::new(&target.freezer);
            let done = if is_v1(dir) { freeze::freeze_v1(dir, FREEZE) } else { freeze::freeze_v2(dir, FREEZE) }?;
            if !done {
                return Err(CriuError::NotFrozen { container: target.id.clone(), seconds: FREEZE.as_secs() });
            }
        }
        Ok(frozen)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        for target in self.targets {
            let dir = Path::new(&target.freezer);
            // The monitor looks at them all once more.
            let _ = if is_v1(dir) { freeze::thaw_v1(dir) } else { freeze::thaw_v2(dir) };
        }
    }
}

fn is_v1(dir: &Path) -> bool {
    dir.join("freezer.state").exists()
}

/// Reads a file of a checkpoint whole, up to `limit` bytes.
///
/// # Errors
/// It is not there, too long or cannot be read.
pub fn read_file(dir: BorrowedFd<'_>, name: &str, limit: usize) -> CriuResult<Vec<u8>> {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    use std::io::Read as _;
    let damaged = |reason: String| CriuError::Damaged { name: name.into(), reason };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(dir, name, flags, Mode::empty(), beneath) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Err(damaged("is missing".into())),
        Err(e) => return Err(failed("open", "openat2", name)(e)),
    };
    let mut bytes = Vec::new();
    std::fs::File::from(file)
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(io_failed("read", "read", name))?;
    if bytes.len() > limit {
        return Err(damaged(format!("is longer than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_json() {
        assert_eq!(deleted_json(&[]), "[]\n");
        assert_eq!(deleted_json(&[b"a\"b".to_vec(), b"c\n".to_vec()]), "[\"a\\\"b\",\"c\\u000a\"]\n");
        let streams = [String::new(), "pipe:[1]".into(), "pipe:[2]".into()];
        assert_eq!(streams_json(&streams), "[\"/dev/null\",\"pipe:[1]\",\"pipe:[2]\"]\n");
    }
}
