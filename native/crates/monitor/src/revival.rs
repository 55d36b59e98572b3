//! A container that is brought back from a checkpoint: criu puts its processes in place and waits there, before anything
//! of them runs, until the container is started.

use crate::container::Phase;
use crate::poller::Source;
use crate::reply::{Asker, failure};
use crate::server::Monitor;
use podwright_container::error::{Kind as StepKind, StepError, StepResult};
use podwright_container::init::restore::{Engine, Ground};
use podwright_container::report::{self, Report};
use podwright_criu::error::CriuError;
use podwright_criu::requests::Choices;
use podwright_criu::restore::{self, Checkpoint, Streams};
use podwright_criu::rpc::{Kind as Answer, Response, go_on};
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{CriuChoices, Failure, Restore};
use podwright_sys::errno::SysResult;
use prost::Message;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendFlags};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, OwnedFd};

const OPERATION: &str = "restore the container";

/// The stage at which all is in place, connections included, and nothing runs.
const IN_PLACE: &str = "post-restore";

/// The longest message of criu.
const MESSAGE: usize = 16 * 1024;

/// criu at work for a container.
#[derive(Debug)]
pub(crate) struct Revival {
    /// The way to it; none when it has ended.
    socket: Option<OwnedFd>,
    /// It waits for the start.
    waits: bool,
    /// Where its log is.
    bundle: String,
}

/// What criu said.
enum Said {
    Nothing,
    Stage(String, Option<i32>),
    Done,
    Failed,
    Gone,
}

impl Monitor {
    /// The init child becomes criu; this is the way to it.
    pub(crate) fn revival_begins(&mut self, key: u64, socket: OwnedFd) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        self.poller.add(&socket, Source::Revival(key))?;
        let bundle = container.bundle.clone();
        container.revival = Some(Revival { socket: Some(socket), waits: false, bundle });
        Ok(())
    }

    /// criu has something to say: everything it has said is heard.
    pub(crate) fn revival_ready(&mut self, key: u64) -> SysResult<()> {
        loop {
            let Some(socket) = self.revival_socket(key) else { return Ok(()) };
            match hear(socket) {
                Said::Nothing => return Ok(()),
                Said::Stage(name, pid) => self.revival_stage(key, &name, pid)?,
                Said::Done => {
                    self.close_revival(key);
                    return self.revival_done(key);
                }
                Said::Failed => {
                    self.close_revival(key);
                    return self.revival_failed(key, "refused without a reason in its log");
                }
                Said::Gone => {
                    self.close_revival(key);
                    return self.revival_failed(key, "ended without an answer");
                }
            }
        }
    }

    fn revival_socket(&self, key: u64) -> Option<&OwnedFd> {
        self.containers.get(&key)?.revival.as_ref()?.socket.as_ref()
    }

    /// Stops hearing criu.
    pub(crate) fn close_revival(&mut self, key: u64) {
        let revival = self.containers.get_mut(&key).and_then(|c| c.revival.as_mut());
        if let Some(socket) = revival.and_then(|r| r.socket.take()) {
            self.poller.remove(&socket);
        }
    }

    fn revival_stage(&mut self, key: u64, name: &str, pid: Option<i32>) -> SysResult<()> {
        if let Some(pid) = pid.filter(|pid| self.containers.get(&key).is_some_and(|c| c.pid != *pid)) {
            self.container_process(key, pid)?;
        }
        if name == IN_PLACE {
            if let Some(revival) = self.containers.get_mut(&key).and_then(|c| c.revival.as_mut()) {
                revival.waits = true;
            }
            return self.container_ready(key, Vec::new(), Vec::new());
        }
        self.let_criu_go_on(key);
        Ok(())
    }

    /// One that has ended is seen by the end of its socket.
    fn let_criu_go_on(&self, key: u64) {
        if let Some(socket) = self.revival_socket(key) {
            let _ = rustix::net::send(socket, &go_on(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        }
    }

    /// Lets a container that has been brought back go on; the answer comes when it runs. False: it is another one.
    pub(crate) fn start_revived(&mut self, asker: Asker, key: u64) -> bool {
        let Some(container) = self.containers.get_mut(&key) else { return false };
        let startable = container.phase == Phase::Created && container.stop.is_none();
        let Some(revival) = container.revival.as_mut().filter(|r| r.waits && startable) else { return false };
        revival.waits = false;
        container.phase = Phase::Starting(asker);
        self.let_criu_go_on(key);
        true
    }

    /// Its processes run.
    fn revival_done(&mut self, key: u64) -> SysResult<()> {
        self.container_report_ended(key, false)
    }

    fn revival_failed(&mut self, key: u64, otherwise: &str) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let told = container.revival.as_ref().and_then(|r| restore::reason(&r.bundle));
        let text = format!("criu cannot restore container {}: {}", container.id, told.as_deref().unwrap_or(otherwise));
        let why = failure(Kind::FailedPrecondition, OPERATION, &container.id, text);
        let (ended, held) = (!container.is_alive(), container.phase == Phase::Created);
        self.container_failed(key, why)?;
        if ended {
            // nobody's end will be seen any more
            return self.forget_container(key);
        }
        if held || self.containers.get(&key).is_some_and(|c| matches!(c.phase, Phase::Starting(_))) {
            // without criu it can never go on
            self.kill_container(key);
        }
        Ok(())
    }

    /// The captured main process has ended before criu was done with it: what criu says decides. True when it was that.
    pub(crate) fn revival_lost(&mut self, key: u64) -> SysResult<bool> {
        let creating = |c: &crate::container::Container| c.revival.is_some() && matches!(c.phase, Phase::Creating(_));
        if !self.containers.get(&key).is_some_and(creating) {
            return Ok(false);
        }
        if let Some(container) = self.containers.get_mut(&key) {
            container.pid = 0;
        }
        self.revival_ready(key)?;
        if self.containers.get(&key).is_some_and(creating) && self.revival_socket(key).is_none() {
            self.revival_failed(key, "ended without an answer")?;
        }
        Ok(true)
    }
}

fn hear(socket: &OwnedFd) -> Said {
    let mut bytes = vec![0; MESSAGE];
    let mut ancillary = RecvAncillaryBuffer::default();
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
        Ok(got) => got.bytes,
        Err(Errno::AGAIN | Errno::INTR) => return Said::Nothing,
        Err(_) => 0,
    };
    if got == 0 {
        return Said::Gone;
    }
    let Ok(response) = Response::decode(bytes.get(..got).unwrap_or_default()) else { return Said::Failed };
    if response.kind == i32::from(Answer::Notify) {
        let notify = response.notify.unwrap_or_default();
        return Said::Stage(notify.script.unwrap_or_default(), notify.pid.filter(|pid| *pid > 0));
    }
    if response.success && response.kind == i32::from(Answer::Restore) { Said::Done } else { Said::Failed }
}

/// How criu is asked.
pub(crate) fn choices(wish: Option<CriuChoices>) -> Choices {
    let wish = wish.unwrap_or_default();
    Choices {
        tcp_established: wish.tcp_established,
        tcp_close: wish.tcp_close,
        external_unix_sockets: wish.external_unix_sockets,
        file_locks: wish.file_locks,
    }
}

/// What the init child uses: criu and a checkpoint.
#[derive(Debug)]
pub(crate) struct Criu<'a> {
    request: &'a Restore,
    upper: String,
    checkpoint: Option<Checkpoint>,
}

impl<'a> Criu<'a> {
    /// For a container with its writable layer at `upper`.
    pub(crate) fn new(request: &'a Restore, upper: &str) -> Self {
        Self { request, upper: upper.into(), checkpoint: None }
    }
}

impl Engine for Criu<'_> {
    fn fill(&mut self) -> StepResult<()> {
        let checkpoint = Checkpoint::open(&self.request.checkpoint).map_err(step_error)?;
        checkpoint.fill(&self.upper).map_err(step_error)?;
        self.checkpoint = Some(checkpoint);
        Ok(())
    }

    fn run(&mut self, ground: &Ground<'_>) -> StepError {
        let Some(checkpoint) = &self.checkpoint else {
            return StepError::invalid(OPERATION, &self.request.checkpoint, "it was not opened");
        };
        let place = restore::Ground { root: ground.root.clone(), sources: ground.sources.clone() };
        let talk = |socket: OwnedFd| {
            report::send(ground.socket, &Report::Engine, Some(socket.as_fd()))
                .map_err(|e| CriuError::Place { path: OPERATION.into(), reason: e.detail })
        };
        let streams = Streams(ground.streams);
        let choices = choices(self.request.choices);
        step_error(checkpoint.become_criu(&self.request.criu, ground.bundle, &place, streams, choices, talk))
    }
}

/// Whose fault a failed checkpoint or restore is.
pub(crate) fn kind_of(error: &CriuError) -> Kind {
    match error {
        CriuError::Missing { .. } | CriuError::Refused { .. } | CriuError::Place { .. } => Kind::FailedPrecondition,
        CriuError::Damaged { .. } | CriuError::NotFrozen { .. } | CriuError::Beside { .. } => Kind::FailedPrecondition,
        CriuError::GivenUp { .. } => Kind::DeadlineExceeded,
        CriuError::Sys(e) => match Errno::from_raw_os_error(e.errno) {
            Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE => Kind::ResourceExhausted,
            Errno::CANCELED => Kind::DeadlineExceeded,
            _ => Kind::Internal,
        },
    }
}

/// A failed checkpoint in the protocol's form.
pub(crate) fn criu_failure(error: &CriuError, operation: &str, object: &str) -> Box<Failure> {
    let (syscall, errno) = match error {
        CriuError::Sys(e) => (e.syscall.to_owned(), e.errno),
        _ => (String::new(), 0),
    };
    let mut told = failure(kind_of(error), operation, object, error.to_string());
    (told.syscall, told.errno) = (syscall, errno);
    told
}

fn step_error(error: CriuError) -> StepError {
    let kind = match kind_of(&error) {
        Kind::Internal | Kind::ResourceExhausted => StepKind::Internal,
        _ => StepKind::Refused,
    };
    let errno = if let CriuError::Sys(e) = &error { e.errno } else { 0 };
    let mut step = StepError::without_call(kind, OPERATION, "", "");
    (step.errno, step.detail) = (errno, error.to_string());
    step
}
