//! Ending one certain process and no other that may bear its pid by now.

use crate::errno::{SysError, SysResult};
use crate::start_time::start_time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::time::{Duration, Instant};

const OPERATION: &str = "end a process";

/// SIGKILL to the process with this pid that started at this time ([`start_time`]), and waits for its end.
/// True: it was there and has ended. False: it was gone already, or the pid is another process's.
///
/// # Errors
/// The failing call; ETIMEDOUT when it has not ended within `wait` (a process in D state).
pub fn end_process(pid: i32, started: u64, wait: Duration) -> SysResult<bool> {
    let failed = |call| move |e: Errno| SysError::new(OPERATION, call, e.raw_os_error(), pid.to_string());
    let raw = Pid::from_raw(pid).ok_or(Errno::INVAL).map_err(failed("pidfd_open"))?;
    let process = match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(Errno::SRCH) => return Ok(false),
        Err(e) => return Err(failed("pidfd_open")(e)),
    };
    // looked at behind the open: from here on the descriptor stands for this process, whoever gets its pid
    if start_time(pid)? != Some(started) {
        return Ok(false);
    }
    match pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) => {}
        Err(Errno::SRCH) => return Ok(false),
        Err(e) => return Err(failed("pidfd_send_signal")(e)),
    }
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(failed("poll")(Errno::TIMEDOUT)),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(e) => return Err(failed("poll")(e)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    const WAIT: Duration = Duration::from_secs(10);

    fn sleeper() -> (Child, i32, u64) {
        let child = Command::new("sleep").arg("3600").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        (child, pid, start_time(pid).unwrap().unwrap())
    }

    #[test]
    fn the_process_ends_and_nobody_is_left_to_end() {
        let (mut child, pid, started) = sleeper();
        assert!(end_process(pid, started, WAIT).unwrap());
        assert!(!child.wait().unwrap().success());
        assert!(!end_process(pid, started, WAIT).unwrap());
    }

    #[test]
    fn another_process_with_that_pid_lives_on() {
        let (mut child, pid, started) = sleeper();
        assert!(!end_process(pid, started + 1, WAIT).unwrap());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn no_pid_is_an_error() {
        assert_eq!(end_process(0, 1, WAIT).unwrap_err().errno, libc::EINVAL);
    }
}
