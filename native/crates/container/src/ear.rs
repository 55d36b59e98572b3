//! Hearing a child, and nobody else.

use crate::error::{Kind, StepError, StepResult};
use crate::report::{Received, Report, Says, Taken, read, take};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The monitor's end of a report socket, which hears only whom it is for. The last process of a child is in the pid
/// namespace of others, where CAP_SYS_PTRACE takes its end of the socket from it (pidfd_getfd(2)): what they send bears
/// their own pid (unix(7), SCM_CREDENTIALS) and is not heard.
#[derive(Debug)]
pub struct Ear {
    socket: OwnedFd,
    /// Whose messages count.
    speaker: i32,
    /// It may only fail.
    only_failure: bool,
    /// Messages that did not count.
    ignored: u32,
}

/// No process has this pid.
const NOBODY: i32 = -1;

/// Messages of others that are passed over; who sends more keeps the monitor from its work.
const MAX_IGNORED: u32 = 64;

impl Ear {
    /// For the child `speaker`, a pid in this process's pid namespace that is not reaped before its messages are heard.
    pub fn new(socket: OwnedFd, speaker: i32) -> Self {
        Self { socket, speaker, only_failure: false, ignored: 0 }
    }

    /// Takes the next message that counts; never waits.
    ///
    /// # Errors
    /// As [`receive`]; and when others do not cease to speak.
    pub fn hear(&mut self) -> StepResult<Received> {
        loop {
            let (bytes, fd, sender) = match take(self.socket.as_fd(), false)? {
                Taken::Nothing => return Ok(Received::Nothing),
                Taken::End => return Ok(Received::End),
                Taken::Message { bytes, fd, sender } => (bytes, fd, sender),
            };
            if sender == self.speaker && !self.only_failure {
                let report = read(&bytes)?;
                match report {
                    Report::Process { pid, says: Says::Everything } => self.speaker = pid,
                    Report::Process { pid, says: Says::OnlyFailure } => (self.speaker, self.only_failure) = (pid, true),
                    _ => {}
                }
                return Ok(Received::Message(report, fd));
            }
            if sender == self.speaker
                && let Some(report @ Report::Failed(_)) = Report::decode(&bytes)
            {
                self.speaker = NOBODY; // once
                return Ok(Received::Message(report, None));
            }
            self.ignored += 1;
            if self.ignored > MAX_IGNORED {
                let why = "processes that it is not for send messages on its socket";
                return Err(StepError::without_call(Kind::Internal, "hear a child", "", why));
            }
        }
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::tests::samples;
    use crate::report::{pair, send};
    use podwright_sys::clone::{self, Forked};
    use rustix::net::SendFlags;
    use rustix::process::WaitOptions;

    fn heard(ear: &mut Ear) -> Option<Report> {
        match ear.hear().unwrap() {
            Received::Message(report, _) => Some(report),
            _ => None,
        }
    }

    /// Sends from a process of its own; answers its pid, when it has ended.
    fn say(socket: &OwnedFd, reports: &[Report]) -> i32 {
        // the child of a process with other threads must not allocate
        let messages: Vec<Vec<u8>> = reports.iter().map(Report::encode).collect();
        let Forked::Parent(pid) = clone::fork(0, None).unwrap() else {
            for message in &messages {
                let _ = rustix::net::send(socket, message, SendFlags::NOSIGNAL);
            }
            clone::exit_now(0);
        };
        let waited = rustix::process::waitpid(rustix::process::Pid::from_raw(pid), WaitOptions::empty()).unwrap();
        assert!(waited.is_some());
        pid
    }

    fn here() -> i32 {
        rustix::process::getpid().as_raw_nonzero().get()
    }

    #[test]
    fn only_the_child_is_heard() {
        let (ours, theirs) = pair().unwrap();
        let mut ear = Ear::new(ours, here());
        say(&theirs, &[Report::Process { pid: 1, says: Says::Nothing }, Report::Failed(no()), Report::Started]);
        assert_eq!(heard(&mut ear), None);
        for sample in samples() {
            if !matches!(sample, Report::Process { says: Says::Everything | Says::OnlyFailure, .. }) {
                send(&theirs, &sample, None).unwrap();
                assert_eq!(heard(&mut ear), Some(sample));
            }
        }
        drop(theirs);
        assert!(matches!(ear.hear().unwrap(), Received::End));
    }

    #[test]
    fn a_child_hands_its_voice_over() {
        let (ours, theirs) = pair().unwrap();
        let heir = say(&theirs, &[]);
        let mut ear = Ear::new(ours, heir);
        let to_us = Report::Process { pid: here(), says: Says::Everything };
        send(&theirs, &to_us, None).unwrap();
        assert_eq!(heard(&mut ear), None, "it was not ours to give");
        ear.speaker = here();
        send(&theirs, &to_us, None).unwrap();
        send(&theirs, &Report::Hooks, None).unwrap();
        assert_eq!((heard(&mut ear), heard(&mut ear)), (Some(to_us), Some(Report::Hooks)));
    }

    #[test]
    fn the_last_process_can_only_fail_and_only_once() {
        let (ours, theirs) = pair().unwrap();
        let mut ear = Ear::new(ours, here());
        let last = Report::Process { pid: here(), says: Says::OnlyFailure };
        send(&theirs, &last, None).unwrap();
        assert_eq!(heard(&mut ear), Some(last));
        for sample in samples().into_iter().filter(|s| !matches!(s, Report::Failed(_))) {
            send(&theirs, &sample, Some(theirs.as_fd())).unwrap();
        }
        rustix::net::send(&theirs, b"?", SendFlags::NOSIGNAL).unwrap();
        say(&theirs, &[Report::Failed(no())]);
        assert_eq!(heard(&mut ear), None);
        for _ in 0..2 {
            send(&theirs, &Report::Failed(no()), None).unwrap();
        }
        assert_eq!((heard(&mut ear), heard(&mut ear)), (Some(Report::Failed(no())), None));
    }

    #[test]
    fn who_does_not_cease_is_no_work_without_end() {
        let (ours, theirs) = pair().unwrap();
        let mut ear = Ear::new(ours, 1);
        for _ in 0..MAX_IGNORED {
            send(&theirs, &Report::Started, None).unwrap();
            assert!(matches!(ear.hear().unwrap(), Received::Nothing));
        }
        send(&theirs, &Report::Started, None).unwrap();
        assert!(ear.hear().unwrap_err().to_string().contains("not for"));
    }

    fn no() -> StepError {
        StepError::invalid("mount", "/x", "source is not shared")
    }
}
