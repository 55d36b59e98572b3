//! One dump: criu as a child of this process, asked, waited for, and ended if it must be.

use crate::error::{CriuError, CriuResult, failed};
use crate::program;
use crate::rpc::{Kind, Request, Response};
use podwright_sys::clone::{self, Forked};
use prost::Message;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long criu may take to give up in its orderly way.
const GRACE: Duration = Duration::from_secs(10);

/// How long its process may take to end when it was given up.
const SHORT: Duration = Duration::from_millis(500);

/// How long its process may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// The longest message.
const MESSAGE: usize = 64 << 10;

/// The two ends of a socket to criu. criu takes descriptors of a request from the process that made it.
///
/// # Errors
/// The errno of socketpair.
pub fn pair() -> CriuResult<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).map_err(failed(
        "talk to criu",
        "socketpair",
        "",
    ))
}

/// Sends a request.
///
/// # Errors
/// The errno of send: criu has ended.
pub fn send(socket: BorrowedFd<'_>, request: &Request) -> CriuResult<()> {
    rustix::net::send(socket, &request.encode_to_vec(), SendFlags::NOSIGNAL).map(drop).map_err(failed(
        "talk to criu",
        "send",
        "",
    ))
}

/// A running criu.
#[derive(Debug)]
pub struct Session {
    pid: i32,
    process: OwnedFd,
    socket: OwnedFd,
}

/// What was heard.
enum Heard {
    Answer(Response),
    Ended,
    GiveUp,
    TimeOver,
}

impl Session {
    /// Starts criu. The caller has one thread.
    ///
    /// # Errors
    /// The failing call.
    pub fn start(path: &CString) -> CriuResult<Self> {
        let (socket, theirs) = pair()?;
        let Forked::Parent(pid) = clone::fork(0, None)? else {
            let _ = program::become_criu(path, theirs.as_fd(), &[]);
            clone::exit_now(127);
        };
        let process = Pid::from_raw(pid).map(|p| rustix::process::pidfd_open(p, PidfdFlags::empty()));
        match process {
            Some(Ok(process)) => Ok(Self { pid, process, socket }),
            _ => Err(failed("watch criu", "pidfd_open", "")(Errno::SRCH)),
        }
    }

    /// Asks for a dump and waits for its end. When `give_up` becomes readable, criu is made to stop: what it dumps goes
    /// on as it was.
    ///
    /// # Errors
    /// [`CriuError::GivenUp`]; [`CriuError::Refused`] without a reason: that is in the log.
    pub fn dump(self, request: &Request, object: &str, give_up: BorrowedFd<'_>) -> CriuResult<()> {
        send(self.socket.as_fd(), request)?;
        let answered = self.wait(give_up, object);
        let patience = if matches!(answered, Err(CriuError::GivenUp { .. })) { SHORT } else { ENDING };
        self.end(patience);
        answered
    }

    fn wait(&self, give_up: BorrowedFd<'_>, object: &str) -> CriuResult<()> {
        let refused =
            |reason: &str| CriuError::Refused { operation: "dump", object: object.into(), reason: reason.into() };
        let given_up = || CriuError::GivenUp { doing: format!("dump {object}") };
        match self.hear(Some(give_up), None)? {
            Heard::Answer(answer) if answer.success && answer.kind == i32::from(Kind::Dump) => Ok(()),
            Heard::Answer(answer) => Err(refused(answer.cr_errmsg.as_deref().unwrap_or_default())),
            Heard::Ended => Err(refused("it ended without an answer")),
            Heard::GiveUp => {
                self.forbid_writing();
                // whatever it says now: nobody waits for a checkpoint any more
                let _ = self.hear(None, Some(GRACE))?;
                Err(given_up())
            }
            Heard::TimeOver => Err(given_up()),
        }
    }

    /// Its next write to a file fails, and with it the dump.
    fn forbid_writing(&self) {
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        // it may have ended this moment
        let _ = rustix::process::prlimit(Pid::from_raw(self.pid), Resource::Fsize, none);
    }

    fn hear(&self, give_up: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> CriuResult<Heard> {
        let end = limit.map(|limit| Instant::now() + limit);
        loop {
            let mut fds = vec![PollFd::new(&self.socket, PollFlags::IN)];
            fds.extend(give_up.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
            let left = end.map(|end| timespec(end.saturating_duration_since(Instant::now())));
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => return Ok(Heard::TimeOver),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(e) => return Err(failed("wait for criu", "poll", "")(e)),
            }
            let ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
            if ready(0) {
                return Ok(self.receive());
            }
            if ready(1) {
                return Ok(Heard::GiveUp);
            }
        }
    }

    fn receive(&self) -> Heard {
        let mut bytes = vec![0; MESSAGE];
        match rustix::net::recv(&self.socket, bytes.as_mut_slice(), RecvFlags::empty()) {
            Ok((count, _)) if count > 0 => match Response::decode(bytes.get(..count).unwrap_or_default()) {
                Ok(response) => Heard::Answer(response),
                Err(_) => Heard::Ended,
            },
            _ => Heard::Ended,
        }
    }

    /// Waits for the process's end; one that does not end by itself in time is killed. One that cannot be killed (it waits for a
    /// disk that does not answer) is left to the caller's parent.
    fn end(self, patience: Duration) {
        drop(self.socket);
        for (kill, limit) in [(false, patience), (true, ENDING)] {
            if kill && let Some(pid) = Pid::from_raw(self.pid) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            let mut fds = [PollFd::new(&self.process, PollFlags::IN)];
            let ended = poll(&mut fds, Some(&timespec(limit)));
            if ended.is_ok_and(|count| count > 0) {
                let _ = rustix::process::waitpid(Pid::from_raw(self.pid), WaitOptions::NOHANG);
                return;
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() }
}
