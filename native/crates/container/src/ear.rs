//! Hearing a child, and nobody else.

use crate::error::{Kind, StepError, StepResult};
use crate::report::{Received, Report, Says, Taken, read, take};
use podwright_sys::clone;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The monitor's end of a report socket, which hears only whom it is for. The last process of a child is in the pid
/// namespace of others, where CAP_SYS_PTRACE takes its end of the socket from it (pidfd_getfd(2)): what they send bears
/// their own pid (unix(7), SCM_CREDENTIALS) and is not heard.
#[derive(Debug)]
pub struct Ear {
    socket: OwnedFd,
    /// Whose messages count.
    speaker: i32,
    /// Whether the child is to hand its voice to a last process.
    hands_over: bool,
    /// It has: the speaker may only fail.
    only_failure: bool,
    /// The other end is closed: no message waits any more.
    ended: bool,
    /// Messages that did not count, and descriptors that came with them.
    ignored: usize,
    /// Failures of others, and their pids: of a last process that was quicker than who tells of it.
    early: Vec<(i32, StepError)>,
}

/// No process has this pid.
const NOBODY: i32 = -1;

/// Messages of others, and descriptors, that are passed over; who sends more keeps the monitor from its work.
const MAX_IGNORED: usize = 64;

impl Ear {
    /// For the child `speaker`, a pid in this process's pid namespace that is not reaped before its messages are heard.
    /// `hands_over`: its program will run in another process, in the pid namespace of others.
    pub fn new(socket: OwnedFd, speaker: i32, hands_over: bool) -> Self {
        let (only_failure, ended) = (false, false);
        Self { socket, speaker, hands_over, only_failure, ended, ignored: 0, early: Vec::new() }
    }

    /// Whether there is not the process yet that becomes the program: an end now is none of an exec that worked.
    pub fn is_early(&self) -> bool {
        self.hands_over && !self.only_failure
    }

    /// Takes the next message that counts; never waits.
    ///
    /// # Errors
    /// As [`crate::report::receive`]; and when others do not cease to speak.
    pub fn hear(&mut self) -> StepResult<Received> {
        loop {
            if let Some(failure) = self.was_early() {
                return Ok(Received::Message(Report::Failed(failure), None));
            }
            let (bytes, fds, sender) = match take(self.socket.as_fd(), false)? {
                Taken::Nothing => return Ok(Received::Nothing),
                Taken::End => {
                    self.ended = true;
                    return Ok(Received::End);
                }
                Taken::Message { bytes, fds, sender } => (bytes, fds, sender),
            };
            if sender == self.speaker && !self.only_failure {
                let report = read(&bytes)?;
                match report {
                    Report::Process { pid, says: Says::Everything } => self.speaker = pid,
                    Report::Process { pid, says: Says::OnlyFailure } => (self.speaker, self.only_failure) = (pid, true),
                    _ => {}
                }
                return Ok(Received::Message(report, fds.into_iter().next()));
            }
            // each costs a process
            self.ignored += fds.len();
            fds.into_iter().for_each(close_elsewhere);
            if let Some(Report::Failed(failure)) = Report::decode(&bytes) {
                if sender == self.speaker {
                    self.speaker = NOBODY; // once
                    return Ok(Received::Message(Report::Failed(failure), None));
                }
                if !self.only_failure {
                    self.early.push((sender, failure));
                }
            }
            self.ignored += 1;
            if self.ignored > MAX_IGNORED {
                let why = "processes that it is not for send messages on its socket";
                return Err(StepError::without_call(Kind::Internal, "hear a child", "", why));
            }
        }
    }

    /// What the last process said before it was known.
    fn was_early(&mut self) -> Option<StepError> {
        if !self.only_failure {
            return None;
        }
        let early = std::mem::take(&mut self.early);
        let (_, failure) = early.into_iter().find(|(sender, _)| *sender == self.speaker)?;
        self.speaker = NOBODY;
        Some(failure)
    }

    /// Hears no more.
    pub fn close(self) {
        if self.only_failure && !self.ended {
            close_elsewhere(self.socket); // with what still waits in it
        }
    }
}

/// What others have sent may take long to close: a connection that lingers, a file whose server does not answer.
fn close_elsewhere(fd: OwnedFd) {
    // where no process can be started it is closed here
    let _ = clone::close_elsewhere(fd);
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
    use podwright_sys::clone::Forked;
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

    /// Children of other tests may have a copy of the other end for a moment.
    fn assert_ended(ear: &mut Ear) {
        loop {
            match ear.hear().unwrap() {
                Received::End => return,
                Received::Nothing => std::thread::yield_now(),
                Received::Message(report, _) => panic!("{report:?}"),
            }
        }
    }

    fn here() -> i32 {
        rustix::process::getpid().as_raw_nonzero().get()
    }

    #[test]
    fn only_the_child_is_heard() {
        let (ours, theirs) = pair().unwrap();
        let mut ear = Ear::new(ours, here(), true);
        say(&theirs, &[Report::Process { pid: 1, says: Says::Nothing }, Report::Failed(no()), Report::Started]);
        assert_eq!(heard(&mut ear), None);
        for sample in samples() {
            if !matches!(sample, Report::Process { says: Says::Everything | Says::OnlyFailure, .. }) {
                send(&theirs, &sample, None).unwrap();
                assert_eq!(heard(&mut ear), Some(sample));
            }
        }
        drop(theirs);
        assert_ended(&mut ear);
    }

    #[test]
    fn a_child_hands_its_voice_over() {
        let (ours, theirs) = pair().unwrap();
        let heir = say(&theirs, &[]);
        let mut ear = Ear::new(ours, heir, true);
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
        let mut ear = Ear::new(ours, here(), true);
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
    fn a_last_process_may_fail_before_it_is_told_of() {
        let (ours, theirs) = pair().unwrap();
        let mut ear = Ear::new(ours, here(), true);
        let other = StepError::invalid("mount", "/y", "no");
        say(&theirs, &[Report::Failed(other)]);
        let last = say(&theirs, &[Report::Failed(no()), Report::Failed(no())]);
        assert_eq!(heard(&mut ear), None);
        let told = Report::Process { pid: last, says: Says::OnlyFailure };
        send(&theirs, &told, None).unwrap();
        drop(theirs);
        assert_eq!((heard(&mut ear), heard(&mut ear)), (Some(told), Some(Report::Failed(no()))));
        assert_ended(&mut ear);
        assert!(!ear.is_early());
        ear.close();
    }

    #[test]
    fn an_end_is_none_that_somebody_sends_and_may_come_early() {
        let (ours, theirs) = pair().unwrap();
        let mut ear = Ear::new(ours, here(), true);
        rustix::net::send(&theirs, b"", SendFlags::NOSIGNAL).unwrap();
        assert!(ear.hear().is_err(), "the child sends no such message");
        let other = say(&theirs, &[]);
        ear.speaker = other;
        rustix::net::send(&theirs, b"", SendFlags::NOSIGNAL).unwrap();
        assert!(matches!(ear.hear().unwrap(), Received::Nothing));
        drop(theirs);
        assert_ended(&mut ear);
        assert!(ear.is_early());
    }

    #[test]
    fn who_does_not_cease_is_no_work_without_end() {
        let (ours, theirs) = pair().unwrap();
        let mut ear = Ear::new(ours, 1, true);
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
