//! Running the runtime and waiting for it, with a limit. For a throw-away process with one thread.

use crate::log;
use crate::runtime::Runtime;
use podwright_container::error::{Kind, StepError, StepResult, failed};
use podwright_sys::clone::{self, Forked};
use podwright_sys::exec::Program;
use podwright_sys::signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_parent_process_death_signal, waitpid};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How much of a runtime's log is looked at, from its end.
const LOG_TAIL: u64 = 64 * 1024;

/// Exit code of a fork that could not become the runtime.
const NOT_EXECUTED: i32 = 127;

/// Where runtimes look for their own helpers.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A runtime at work.
#[derive(Debug)]
pub(crate) struct Running {
    pid: i32,
    /// Readable when it has ended.
    pub(crate) pidfd: OwnedFd,
    until: Instant,
    what: String,
}

/// What a runtime has as its standard streams.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Streams<'a> {
    /// The caller's.
    Same,
    /// None.
    Null,
    /// None but this one as its output.
    Output(BorrowedFd<'a>),
}

impl Streams<'_> {
    fn set(self) -> StepResult<()> {
        if matches!(self, Self::Same) {
            return Ok(());
        }
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "open",
            "open",
            "/dev/null",
        ))?;
        let output = if let Self::Output(fd) = self { fd } else { null.as_fd() };
        for (number, fd) in [(0, null.as_fd()), (1, output), (2, null.as_fd())] {
            clone::set_standard_stream(fd, number)?;
        }
        Ok(())
    }
}

/// Makes /dev/null the standard streams of the calling process.
///
/// # Errors
/// The failing call.
pub(crate) fn null_streams() -> StepResult<()> {
    Streams::Null.set()
}

/// One call of a runtime.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) argv: &'a [String],
    pub(crate) verb: &'a str,
    pub(crate) limit: Duration,
    pub(crate) streams: Streams<'a>,
    /// Becomes readable, or ends, when the runtime is to be killed with what it has started. Then it has a session of
    /// its own.
    pub(crate) give_up: Option<BorrowedFd<'a>>,
}

/// Starts the runtime in the calling process's working directory. It dies with its caller.
///
/// # Errors
/// The program is not there; the failing call.
pub(crate) fn start(call: &Call<'_>) -> StepResult<Running> {
    let Call { runtime, argv, verb, limit, streams, give_up } = *call;
    let program = Program::new(argv, &[PATH.to_owned()])?;
    let path = std::ffi::CString::new(runtime.path.as_str())
        .map_err(|_| failed("run the runtime", "execve", &runtime.path)(Errno::INVAL))?;
    rustix::fs::access(&runtime.path, rustix::fs::Access::EXEC_OK).map_err(failed(
        "run the runtime",
        "access",
        &runtime.path,
    ))?;
    let Forked::Parent(pid) = clone::fork(0, None)? else {
        // without a caller nobody waits for what it does
        let tied = set_parent_process_death_signal(Some(Signal::KILL));
        let apart = give_up.is_none() || rustix::process::setsid().is_ok();
        if tied.is_ok() && apart && streams.set().is_ok() {
            program.exec(&path);
        }
        clone::exit_now(NOT_EXECUTED);
    };
    let known = Pid::from_raw(pid).ok_or_else(|| failed("run the runtime", "clone3", "")(Errno::CHILD))?;
    let pidfd = pidfd_open(known, PidfdFlags::empty()).map_err(failed("run the runtime", "pidfd_open", ""))?;
    let what = format!("{} {verb}", runtime.name());
    Ok(Running { pid, pidfd, until: Instant::now() + limit, what })
}

/// Waits for one of the descriptors to be readable, until the runtime's time is over. Answers which are.
pub(crate) fn poll_until(running: &Running, fds: &[BorrowedFd<'_>]) -> StepResult<Vec<bool>> {
    loop {
        let left = running.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(vec![false; fds.len()]);
        }
        let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut polled, Some(&limit)) {
            Ok(_) => return Ok(polled.iter().map(|p| !p.revents().is_empty()).collect()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(failed("wait for the runtime", "poll", "")(e)),
        }
    }
}

impl Running {
    /// Waits for the end: killed when its time is over. A code other than 0 is an error in the words of its log.
    ///
    /// # Errors
    /// It failed, or took too long.
    pub(crate) fn finish(self, log: &str) -> StepResult<()> {
        self.finish_unless(None, log)
    }

    /// The same, but it is killed with its process group when that descriptor becomes readable, or ends.
    pub(crate) fn finish_unless(self, give_up: Option<BorrowedFd<'_>>, log: &str) -> StepResult<()> {
        let watched: Vec<BorrowedFd<'_>> = [self.pidfd.as_fd()].into_iter().chain(give_up).collect();
        let ready = poll_until(&self, &watched)?;
        let (ended, given_up) = (ready.first() == Some(&true), ready.get(1) == Some(&true));
        if !ended {
            // our child, not reaped
            let _ = give_up.map(|_| signal::send(-self.pid, 9));
            let _ = signal::send(self.pid, 9);
        }
        let code = reap(self.pid)?;
        if !ended && given_up {
            return Err(StepError::without_call(
                Kind::Refused,
                "run",
                &self.what,
                "its container was stopped meanwhile",
            ));
        }
        if !ended {
            return Err(StepError::without_call(Kind::Internal, "run", &self.what, "it did not end in time"));
        }
        match code {
            0 => Ok(()),
            NOT_EXECUTED => Err(StepError::without_call(Kind::Internal, "run", &self.what, "it could not be executed")),
            code => {
                let said = tail(log).as_deref().and_then(log::last_error);
                let why = said.unwrap_or_else(|| format!("it ended with code {code} and no message"));
                Err(StepError::message("run the runtime", 0, &self.what, format!("{}: {why}", self.what)))
            }
        }
    }
}

fn reap(pid: i32) -> StepResult<i32> {
    loop {
        match waitpid(Pid::from_raw(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                return Ok(status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(e) => return Err(failed("wait for the runtime", "waitpid", pid.to_string())(e)),
        }
    }
}

/// The end of a log file; none when there is no such file.
fn tail(path: &str) -> Option<String> {
    let mut file = std::fs::File::open(Path::new(path)).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Runs a verb to its end.
///
/// # Errors
/// As [`start`] and [`Running::finish`].
pub(crate) fn run(call: &Call<'_>, log: &str) -> StepResult<()> {
    start(call)?.finish_unless(call.give_up, log)
}
