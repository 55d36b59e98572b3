//! Checkpoints of running containers, and reading those of a pod: both in helper processes.

use crate::container::{Container, Phase};
use crate::errand::{Outcome, Stopped, Work};
use crate::reply::{Answer, Asker, done, failure};
use crate::revival::{choices, criu_failure};
use crate::server::Monitor;
use podwright_criu::capture::{self, Capture, Output, Target, Watch};
use podwright_criu::error::CriuError;
use podwright_criu::{layout, restore};
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{
    CgroupFacts, Checkpoint, CheckpointReply, CheckpointTarget, Failure, LoadCheckpoint, LoadCheckpointReply, response,
};
use podwright_sys::errno::SysResult;
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const OPERATION: &str = "checkpoint";

/// How long reading a manifest may take when the request does not say, in milliseconds.
const LOAD_MS: u64 = 60_000;

/// The longest manifest: with it the answer still is one frame.
const MANIFEST: usize = 16 << 20;

impl Monitor {
    /// Begins a checkpoint; the answer comes when all containers run again. Commands that run in them are given a moment
    /// to end.
    pub(crate) fn checkpoint(&mut self, asker: Asker, request: Checkpoint) -> SysResult<()> {
        match self.command_beside(&request) {
            Some(_) => self.wait_for_commands(asker, request),
            None => self.start_checkpoint(asker, request),
        }
    }

    /// Begins a checkpoint now.
    pub(crate) fn start_checkpoint(&mut self, asker: Asker, request: Checkpoint) -> SysResult<()> {
        match self.begin_checkpoint(asker, request) {
            Ok(()) => Ok(()),
            Err(failure) => self.answer(asker, Err(failure)),
        }
    }

    fn begin_checkpoint(&mut self, asker: Asker, request: Checkpoint) -> Result<(), Box<Failure>> {
        check(&request)?;
        if !self.errands.is_empty() || self.waiting_checkpoint.is_some() {
            let text = "another checkpoint of this sandbox is under way";
            return Err(failure(Kind::FailedPrecondition, OPERATION, &self.id, text));
        }
        if self.sandbox.as_ref().is_some_and(|s| s.users().is_some()) {
            let text = "the pod has a user namespace, which cannot be captured";
            return Err(failure(Kind::FailedPrecondition, OPERATION, &self.id, text));
        }
        let mut thaws = Vec::new();
        let mut targets = Vec::new();
        for wish in &request.targets {
            let (key, target) = self.checkpoint_target(wish)?;
            thaws.push(key);
            targets.push(target);
        }
        let output = if request.staging.is_empty() {
            Output::Directory(request.output)
        } else {
            Output::Archive { file: request.output, staging: request.staging }
        };
        let (program, choices) = (request.criu, choices(request.choices));
        let plan = Capture { program, choices, output, targets, manifest: request.manifest };
        let shm = self.shm_copy(request.shm)?;
        let keep = shm.iter().map(AsFd::as_fd).collect();
        let work = Work { operation: OPERATION, deadline_ms: request.deadline_ms, thaws, keep };
        self.start_errand(asker, work, |give_up, note| {
            let shm = shm.as_ref().map(AsFd::as_fd);
            let figures =
                capture::capture(&plan, shm, Watch { give_up, note }).map_err(|e| criu_failure(&e, OPERATION, ""))?;
            let frozen_ms = u64::try_from(figures.frozen.as_millis()).unwrap_or(u64::MAX);
            Ok(response::Result::Checkpoint(CheckpointReply { frozen_ms }))
        })
    }

    /// A mount of the pod's /dev/shm for a helper.
    fn shm_copy(&self, wanted: bool) -> Result<Option<OwnedFd>, Box<Failure>> {
        let shm = self.sandbox.as_ref().and_then(|s| s.shm.as_ref()).filter(|_| wanted);
        shm.map(|shm| shm.borrow().copy()).transpose().map_err(|e| crate::sandbox::step_failure(&e))
    }

    fn checkpoint_target(&self, wish: &CheckpointTarget) -> Result<(u64, Target), Box<Failure>> {
        let id = &wish.container_id;
        let refuse = |kind, text: &str| failure(kind, OPERATION, id, format!("container {id} {text}"));
        let key = self.container_key(id).ok_or_else(|| refuse(Kind::NotFound, "is not here"))?;
        let found = self.containers.get(&key).filter(|c| c.phase == Phase::Running && c.is_alive());
        let container = found.ok_or_else(|| refuse(Kind::FailedPrecondition, "does not run"))?;
        if container.external.is_some() {
            return Err(refuse(Kind::FailedPrecondition, "is made by another runtime, which has no checkpoints"));
        }
        if container.terminal {
            return Err(refuse(Kind::FailedPrecondition, "has a terminal, which cannot be captured"));
        }
        if is_init_elsewhere(container.pid) {
            let text = "has a process that is not the first of its pid namespace: a shared one cannot be captured";
            return Err(refuse(Kind::FailedPrecondition, text));
        }
        let freezer = freezer(&container.cgroup);
        if freezer.is_empty() {
            return Err(refuse(Kind::FailedPrecondition, "is in no cgroup that can be frozen"));
        }
        let files = wish.files.iter().map(|f| (f.name.clone(), f.content.clone())).collect();
        let target = Target {
            id: id.clone(),
            pid: container.pid,
            directory: wish.directory.clone(),
            freezer,
            bundle: wish.bundle.clone(),
            upper: wish.upper.clone(),
            external: wish.external.clone(),
            streams: streams(container),
            files,
        };
        Ok((key, target))
    }

    /// Gives up the checkpoint under way.
    pub(crate) fn cancel_checkpoint(&mut self) -> SysResult<Answer> {
        self.stop_checkpoint()?;
        Ok(done())
    }

    /// The same, because the sandbox is to end.
    pub(crate) fn stop_checkpoint(&mut self) -> SysResult<()> {
        let keys: Vec<u64> = self.errands.keys().copied().collect();
        for key in keys {
            self.stop_errand(key, Stopped::Unwanted);
        }
        self.refuse_waiting("it was given up")
    }

    /// Begins to read a checkpoint.
    pub(crate) fn load_checkpoint(&mut self, asker: Asker, request: &LoadCheckpoint) -> SysResult<()> {
        let begun = self.shm_copy(request.shm).and_then(|shm| {
            let deadline_ms = if request.deadline_ms == 0 { LOAD_MS } else { request.deadline_ms };
            let keep = shm.iter().map(AsFd::as_fd).collect();
            let work = Work { operation: OPERATION, deadline_ms, thaws: Vec::new(), keep };
            self.start_errand(asker, work, |_, note| {
                note.write(&format!("read {}", request.path));
                load(&request.path, shm.as_ref().map(AsFd::as_fd))
            })
        });
        begun.or_else(|failure| self.answer(asker, Err(failure)))
    }
}

/// What contradicts itself. PURE.
fn check(request: &Checkpoint) -> Result<(), Box<Failure>> {
    let invalid = |text: &str| Err(failure(Kind::Invalid, OPERATION, &request.output, text));
    let plain = |name: &str| !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    if request.targets.is_empty() || !request.output.starts_with('/') {
        return invalid("a checkpoint has containers and an absolute path");
    }
    let archive = !request.staging.is_empty();
    let named = |t: &CheckpointTarget| if archive { t.directory.is_empty() } else { plain(&t.directory) };
    if !request.targets.iter().all(named) || (archive && request.targets.len() != 1) {
        return invalid("each container has a directory of its own in a checkpoint");
    }
    if request.targets.iter().flat_map(|t| &t.files).any(|f| !plain(&f.name)) {
        return invalid("a file of a checkpoint has a plain name");
    }
    Ok(())
}

/// Where a container's cgroup is frozen: the v1 hierarchy where there is one, else the unified tree.
fn freezer(facts: &CgroupFacts) -> String {
    if !facts.freezer_dir.is_empty() {
        return facts.freezer_dir.clone();
    }
    facts.place.as_ref().map(|p| p.unified_dir.clone()).unwrap_or_default()
}

/// criu can only capture a pid namespace whole.
fn is_init_elsewhere(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:")).and_then(|l| l.split_whitespace().last());
    inner != Some("1")
}

/// The pipes of a container as /proc/PID/fd shows them: the other end has the same inode.
fn streams(container: &Container) -> [String; 3] {
    let outputs = &container.outputs;
    [container.stdin.as_ref(), outputs.stdout.as_ref(), outputs.stderr.as_ref()].map(|end| {
        let stat = end.and_then(|fd| rustix::fs::fstat(fd).ok());
        stat.map(|s| format!("pipe:[{}]", s.st_ino)).unwrap_or_default()
    })
}

fn load(path: &str, shm: Option<BorrowedFd<'_>>) -> Outcome {
    let told = |e: CriuError| criu_failure(&e, "read the checkpoint", path);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| {
        let text = format!("checkpoint {path} cannot be read: {e}");
        failure(Kind::FailedPrecondition, "read the checkpoint", path, text)
    })?;
    let manifest = capture::read_file(dir.as_fd(), layout::MANIFEST, MANIFEST).map_err(told)?;
    let saved = rustix::fs::statat(&dir, layout::SHM, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if let Some(shm) = shm.filter(|_| saved) {
        let into = podwright_criu::folder::open_at(shm).map_err(told)?;
        restore::unpack(dir.as_fd(), layout::SHM, into).map_err(told)?;
    }
    Ok(response::Result::LoadCheckpoint(LoadCheckpointReply { manifest }))
}
