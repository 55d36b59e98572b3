//! Processes that do what may wait for ever (ruling 6): they get a piece of work, answer once, and end. One that is told to
//! stop, and does not, is killed and its work given up for lost.

use crate::clock;
use crate::kill;
use crate::poller::Source;
use crate::reply::{Asker, failure, sys_failure};
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::place;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{Failure, Response, response};
use podwright_sys::buffer::SharedNote;
use podwright_sys::clone::{self, Forked};
use podwright_sys::errno::SysResult;
use podwright_sys::signal;
use prost::Message;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// After it was told to stop, a helper is waited for so long, in milliseconds. criu itself gets ten seconds.
const STOPPING_MS: u64 = 20_000;

/// A helper at work.
#[derive(Debug)]
pub(crate) struct Errand {
    asker: Asker,
    pid: i32,
    socket: OwnedFd,
    received: Vec<u8>,
    note: SharedNote,
    /// Containers that it freezes: whatever it ends with, they run again.
    thaws: Vec<u64>,
    operation: &'static str,
    stopped: Option<Stopped>,
}

/// Why a helper was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Its time is over.
    Deadline,
    /// Nobody waits for it any more.
    Unwanted,
    /// This container, of which it is, is to end.
    Ending(String),
}

/// A helper's work.
pub(crate) struct Work<'a> {
    /// What it is, for messages.
    pub(crate) operation: &'static str,
    /// Milliseconds; 0: no limit.
    pub(crate) deadline_ms: u64,
    /// Containers that it freezes.
    pub(crate) thaws: Vec<u64>,
    /// Descriptors that it needs.
    pub(crate) keep: Vec<BorrowedFd<'a>>,
}

/// What a helper answers, before it is an answer.
pub(crate) type Outcome = Result<response::Result, Box<Failure>>;

impl Monitor {
    /// Starts a errand. `job` runs in it: it gets a descriptor that becomes readable when it is to stop, and a note for
    /// what it is about to do.
    pub(crate) fn start_errand(
        &mut self,
        asker: Asker,
        work: Work<'_>,
        job: impl FnOnce(BorrowedFd<'_>, &SharedNote) -> Outcome,
    ) -> Result<(), Box<Failure>> {
        let made = |e: Errno, call: &'static str| {
            sys_failure(&podwright_sys::errno::SysError::new(work.operation, call, e.raw_os_error(), ""))
        };
        let note = SharedNote::new().map_err(|e| sys_failure(&e))?;
        let (socket, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|e| made(e, "socketpair"))?;
        let key = self.key();
        let Forked::Parent(pid) = clone::fork(0, None).map_err(|e| sys_failure(&e))? else {
            let mut keep = work.keep;
            keep.push(theirs.as_fd());
            run(&theirs, &keep, || job(theirs.as_fd(), &note));
        };
        self.poller.add(&socket, Source::Errand(key)).map_err(|e| sys_failure(&e))?;
        if work.deadline_ms > 0 {
            self.timers.add(clock::deadline(work.deadline_ms), Due::ErrandDeadline(key));
        }
        let (thaws, operation) = (work.thaws, work.operation);
        let errand = Errand { asker, pid, socket, received: Vec::new(), note, thaws, operation, stopped: None };
        self.errands.insert(key, errand);
        Ok(())
    }

    /// Reads what a helper answers; at the end of that it is done.
    pub(crate) fn errand_ready(&mut self, key: u64) -> SysResult<()> {
        let Some(errand) = self.errands.get_mut(&key) else { return Ok(()) };
        let bytes = self.scratch.bytes();
        let got = rustix::net::recv(&errand.socket, &mut *bytes, rustix::net::RecvFlags::DONTWAIT);
        match got {
            Ok((count, _)) if count > 0 => {
                errand.received.extend_from_slice(bytes.get(..count).unwrap_or_default());
                self.scratch_used();
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            _ => self.finish_errand(key, None),
        }
    }

    /// Tells a helper to stop: its time is over, or nobody waits for it any more.
    pub(crate) fn stop_errand(&mut self, key: u64, why: Stopped) {
        let Some(errand) = self.errands.get_mut(&key).filter(|e| e.stopped.is_none()) else { return };
        errand.stopped = Some(why);
        // it may have ended this moment
        let _ = rustix::net::shutdown(&errand.socket, Shutdown::Write);
        self.timers.add(clock::deadline(STOPPING_MS), Due::ErrandKill(key));
    }

    /// A connection has closed: what it asked for is stopped.
    pub(crate) fn stop_errands_of(&mut self, connection: u64) {
        let keys: Vec<u64> =
            self.errands.iter().filter(|(_, e)| e.asker.connection == connection).map(|(key, _)| *key).collect();
        for key in keys {
            self.stop_errand(key, Stopped::Unwanted);
        }
    }

    /// A container is to end: what is done to it is stopped.
    pub(crate) fn stop_errands_on(&mut self, container: u64, id: &str) {
        let of = |errand: &Errand| errand.thaws.contains(&container);
        let keys: Vec<u64> = self.errands.iter().filter(|(_, e)| of(e)).map(|(key, _)| *key).collect();
        for key in keys {
            self.stop_errand(key, Stopped::Ending(id.into()));
        }
    }

    /// It was told to stop long ago.
    pub(crate) fn kill_errand(&mut self, key: u64) -> SysResult<()> {
        let Some(errand) = self.errands.get(&key) else { return Ok(()) };
        // Itself and what it has started; our child and not reaped as long as it is known here.
        let _ = signal::send(-errand.pid, 9);
        let doing = errand.note.read();
        let text = format!("process {} did not get done with: {doing}", errand.pid);
        let why = failure(Kind::DeadlineExceeded, errand.operation, "", text);
        self.finish_errand(key, Some(why))
    }

    fn finish_errand(&mut self, key: u64, why: Option<Box<Failure>>) -> SysResult<()> {
        let Some(errand) = self.errands.remove(&key) else { return Ok(()) };
        self.poller.remove(&errand.socket);
        for container in &errand.thaws {
            if let Some(container) = self.containers.get(container) {
                kill::thaw(&container.cgroup);
            }
        }
        let ended = || failure(Kind::Internal, errand.operation, "", "the helper process ended without an answer");
        let said = Response::decode(errand.received.as_slice()).ok().and_then(|response| response.result);
        let answer = match (why, said) {
            (Some(why), _) => Err(why),
            (None, Some(response::Result::Failure(why))) => Err(Box::new(why)),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(ended()),
        };
        let answer = answer.map_err(|why| blame(errand.stopped, why));
        self.answer(errand.asker, answer)
    }
}

/// A failure of a helper that had to stop is not one of a deadline if something else was the reason.
fn blame(stopped: Option<Stopped>, mut why: Box<Failure>) -> Box<Failure> {
    if let Some(Stopped::Ending(id)) = stopped {
        why.kind = Kind::FailedPrecondition.into();
        why.detail = format!("container {id} is being ended: {}", why.detail);
    }
    why
}

/// The helper's life.
fn run(socket: &OwnedFd, keep: &[BorrowedFd<'_>], job: impl FnOnce() -> Outcome) -> ! {
    // a group of its own, so that what it starts can be ended with it
    let prepared = rustix::process::setsid().is_ok() && place::strip(keep).is_ok();
    signal::reset_all();
    let outcome =
        if prepared { job() } else { Err(failure(Kind::Internal, "prepare a helper", "", "it could not be prepared")) };
    let result = outcome.unwrap_or_else(|why| response::Result::Failure(*why));
    let bytes = Response { id: 0, result: Some(result) }.encode_to_vec();
    let mut left = bytes.as_slice();
    while !left.is_empty() {
        match rustix::net::send(socket, left, SendFlags::NOSIGNAL) {
            Ok(count) => left = left.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(_) => clone::exit_now(1), // the monitor has gone
        }
    }
    clone::exit_now(0)
}
