//! One hook: started, told the state, waited for. For a process with one thread that nobody else waits on.

use super::check;
use crate::error::{Kind, StepError, StepResult, failed};
use crate::spec::Hook;
use podwright_sys::clone::{self, Forked};
use podwright_sys::exec::Program;
use podwright_sys::signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, MemfdFlags, OFlags, memfd_create};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, set_parent_process_death_signal, waitpid,
};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Exit code of a fork that could not become the hook.
const NOT_EXECUTED: i32 = 127;

/// What is kept of a hook's output, from its end, in bytes.
const SAID: usize = 2048;

/// Where a filter forbids to watch a process, it is looked at so often.
const LOOK: Duration = Duration::from_millis(20);

/// A hook to be run.
pub(crate) struct Call<'a> {
    /// Its list's name in the spec.
    pub(crate) kind: &'a str,
    /// The hook.
    pub(crate) hook: &'a Hook,
    /// What it reads.
    pub(crate) state: &'a str,
    /// Where it is run.
    pub(crate) directory: &'a str,
    /// What its process does last before it becomes the hook.
    pub(crate) prepare: &'a dyn Fn() -> StepResult<()>,
    /// Becomes readable, or ends, when the hook is to be killed with what it has started.
    pub(crate) give_up: Option<BorrowedFd<'a>>,
}

impl Call<'_> {
    fn name(&self) -> String {
        format!("{} hook {}", self.kind, self.hook.path)
    }

    fn refused(&self, why: &str) -> StepError {
        let (operation, detail) = (format!("run the {} hook", self.kind), format!("{}{why}", self.name()));
        let object = self.hook.path.clone();
        StepError { kind: Kind::Refused, operation, syscall: String::new(), errno: 0, object, detail }
    }

    fn failed(&self, syscall: &'static str) -> impl FnOnce(Errno) -> StepError {
        let name = self.name();
        move |errno| failed("run", syscall, name)(errno)
    }
}

/// Runs a hook to its end. It has the state as its standard input, and nothing else of the caller's; it dies with it.
///
/// # Errors
/// It is not there, took too long, or ended with something else than 0: with the end of what it said.
pub(crate) fn run(call: &Call<'_>) -> StepResult<()> {
    let Hook { path, args, env, timeout } = call.hook;
    check(call.kind, call.hook)?;
    rustix::fs::access(path.as_str(), Access::EXEC_OK).map_err(|e| call.refused(&format!(": {e}")))?;
    let argv = if args.is_empty() { std::slice::from_ref(path) } else { args.as_slice() };
    let program = Program::new(argv, env)?;
    let file = CString::new(path.as_str()).map_err(|_| call.failed("execve")(Errno::INVAL))?;
    let input = state_file(call)?;
    let (said, says) = pipe_with(PipeFlags::CLOEXEC).map_err(call.failed("pipe2"))?;
    rustix::fs::fcntl_setfl(&said, OFlags::NONBLOCK).map_err(call.failed("fcntl"))?;
    let Forked::Parent(pid) = clone::fork(0, None)? else { become_hook(call, &program, &file, &[input, says]) };
    drop(says);
    let ended = Child { pid, until: timeout.map(|s| Instant::now() + Duration::from_secs(s)), said }.wait(call);
    reap_orphans();
    let (ended, text) = ended?;
    let why = match ended {
        Ended::Itself(status) => match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) => return Ok(()),
            (Some(code), _) => format!("ended with code {code}"),
            (None, number) => format!("was killed by signal {}", number.unwrap_or(0)),
        },
        Ended::Late => format!("did not end within {} s and was killed", timeout.unwrap_or_default()),
        Ended::GivenUp => "was killed, because its container or its pod is ended".into(),
    };
    let said = if text.is_empty() { text } else { format!(": {text}") };
    Err(call.refused(&format!(" {why}{said}")))
}

/// How a hook ended.
enum Ended {
    Itself(WaitStatus),
    Late,
    GivenUp,
}

/// A file, because a pipe would have to be written while the hook is waited for, and reading one that holds all of it
/// ends.
fn state_file(call: &Call<'_>) -> StepResult<OwnedFd> {
    let file = memfd_create("state.json", MemfdFlags::CLOEXEC).map_err(call.failed("memfd_create"))?;
    let mut left = call.state.as_bytes();
    while !left.is_empty() {
        let count = rustix::io::write(&file, left).map_err(call.failed("write"))?;
        left = left.get(count..).unwrap_or_default();
    }
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).map_err(call.failed("lseek"))?;
    Ok(file)
}

fn become_hook(call: &Call<'_>, program: &Program, file: &CString, [input, says]: &[OwnedFd; 2]) -> ! {
    let prepared = || -> StepResult<()> {
        // whoever waits for it has the time limit
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(call.failed("prctl"))?;
        // a group of its own, so that what it starts can be ended with it
        rustix::process::setsid().map_err(call.failed("setsid"))?;
        signal::reset_all();
        for (fd, number) in [(input, 0), (says, 1), (says, 2)] {
            clone::set_standard_stream(fd.as_fd(), number)?;
        }
        clone::close_all_but(&[])?;
        rustix::process::chdir(call.directory).map_err(call.failed("chdir"))?;
        (call.prepare)()
    };
    let why = match prepared() {
        Ok(()) => Errno::from_raw_os_error(program.exec(file)).to_string(),
        Err(error) => error.detail,
    };
    // its last words; nobody may be there to hear them
    let _ = rustix::io::write(rustix::stdio::stderr(), why.as_bytes());
    clone::exit_now(NOT_EXECUTED);
}

struct Child {
    pid: i32,
    until: Option<Instant>,
    said: OwnedFd,
}

impl Child {
    /// How it ended, and the end of what it said.
    fn wait(&self, call: &Call<'_>) -> StepResult<(Ended, String)> {
        let mut text = Vec::new();
        let pidfd = Pid::from_raw(self.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let (mut open, mut given_up) = (true, false);
        loop {
            if let Some(status) = self.reap(WaitOptions::NOHANG).map_err(call.failed("waitpid"))? {
                self.read(&mut text);
                return Ok((Ended::Itself(status), ending(&text)));
            }
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            if given_up || left.is_some_and(|left| left.is_zero()) {
                // our child and not reaped; what it has started goes with it
                let _ = signal::send(-self.pid, 9);
                let _ = signal::send(self.pid, 9);
                self.reap(WaitOptions::empty()).map_err(call.failed("waitpid"))?;
                self.read(&mut text);
                return Ok((if given_up { Ended::GivenUp } else { Ended::Late }, ending(&text)));
            }
            let limit = if pidfd.is_some() { left } else { Some(left.unwrap_or(LOOK).min(LOOK)) };
            let watched = [call.give_up, open.then_some(self.said.as_fd()), pidfd.as_ref().map(AsFd::as_fd)];
            let mut fds: Vec<PollFd<'_>> =
                watched.into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let limit = limit.map(|l| Timespec { tv_sec: l.as_secs() as i64, tv_nsec: l.subsec_nanos().into() });
            match poll(&mut fds, limit.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(call.failed("poll")(e)),
            }
            given_up = call.give_up.is_some() && fds.first().is_some_and(|fd| !fd.revents().is_empty());
            open = open && self.read(&mut text);
        }
    }

    fn reap(&self, options: WaitOptions) -> Result<Option<WaitStatus>, Errno> {
        loop {
            match waitpid(Pid::from_raw(self.pid), options) {
                Ok(ended) => return Ok(ended.map(|(_, status)| status)),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Takes what it has said; false when that was the last.
    fn read(&self, text: &mut Vec<u8>) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match rustix::io::read(&self.said, &mut bytes) {
                Ok(0) => return false,
                Ok(count) => {
                    text.extend_from_slice(bytes.get(..count).unwrap_or_default());
                    let extra = text.len().saturating_sub(SAID);
                    text.drain(..extra);
                }
                Err(Errno::INTR) => {}
                Err(e) => return e == Errno::AGAIN,
            }
        }
    }
}

fn ending(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().to_owned()
}

/// The first process of a pid namespace gets what a hook leaves behind.
fn reap_orphans() {
    if !rustix::process::getpid().is_init() {
        return;
    }
    while let Ok(Some(_)) = waitpid(None, WaitOptions::NOHANG) {}
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Option<u64>) -> Result<(), String> {
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        let hook = Hook { path: "/bin/sh".into(), args, env: vec!["PATH=/bin:/usr/bin".into(), "A=b".into()], timeout };
        try_hook(&hook)
    }

    fn try_hook(hook: &Hook) -> Result<(), String> {
        let call = Call {
            kind: "poststop",
            hook,
            state: "{\"id\":\"c\"}",
            directory: "/",
            prepare: &|| Ok(()),
            give_up: None,
        };
        run(&call).map_err(|e| e.detail)
    }

    #[test]
    fn a_hook_reads_the_state_and_has_its_own_environment() {
        assert_eq!(shell("test \"$(cat)\" = '{\"id\":\"c\"}' && test $A = b && test -z \"$HOME\"", None), Ok(()));
        assert_eq!(shell("test \"$(cat /dev/stdin)\" = '{\"id\":\"c\"}'", Some(60)), Ok(()));
    }

    #[test]
    fn a_failure_has_the_end_of_what_was_said() {
        let said = shell("echo first; head -c 100000 /dev/zero | tr '\\0' x; echo last >&2; exit 3", None).unwrap_err();
        assert!(said.starts_with("poststop hook /bin/sh ended with code 3: xxx"), "{said}");
        assert!(said.ends_with("xxlast") && said.len() < SAID + 100, "{said}");
        assert_eq!(shell("kill -15 $$", None).unwrap_err(), "poststop hook /bin/sh was killed by signal 15");
    }

    #[test]
    fn one_that_hangs_is_killed_with_what_it_started() {
        let said = shell("echo begun; sleep 1000 & sleep 1000", Some(3)).unwrap_err();
        assert_eq!(said, "poststop hook /bin/sh did not end within 3 s and was killed: begun");
    }

    #[test]
    fn one_that_leaves_a_child_behind_has_ended() {
        assert_eq!(shell("sleep 5 & exit 0", Some(60)), Ok(()));
    }

    #[test]
    fn one_that_is_not_there_is_named() {
        let hook = Hook { path: "/no/such/hook".into(), ..Hook::default() };
        assert!(try_hook(&hook).unwrap_err().starts_with("poststop hook /no/such/hook: "));
        let hook = Hook { path: "/etc/passwd".into(), ..Hook::default() };
        assert!(try_hook(&hook).is_err());
    }
}
