//! ReopenLog: a throw-away child opens the path, because it may hang (ruling 6).

use crate::clock;
use crate::container::Phase;
use crate::reply::{Asker, done, failure, sys_failure};
use crate::sandbox::step_failure;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::ear::Ear;
use podwright_container::logfile;
use podwright_container::place;
use podwright_container::report::{self, Report};
use podwright_protocol::message::Failure;
use podwright_protocol::message::failure::Kind;
use podwright_sys::clone::{self, Forked};
use podwright_sys::errno::SysResult;
use podwright_sys::signal;
use std::os::fd::{AsFd, OwnedFd};

const OPERATION: &str = "reopen the log";

/// How long opening may take, in milliseconds.
const DEADLINE_MS: u64 = 10_000;

/// A reopening under way.
#[derive(Debug)]
pub(crate) struct Reopen {
    /// Which container's log.
    container: u64,
    /// Who waits.
    asker: Asker,
    /// The child.
    pid: i32,
    /// The way to it.
    pub(crate) report: Option<Ear>,
}

impl Monitor {
    /// Begins to reopen a log; the answer comes when records go to the new file.
    pub(crate) fn reopen_log(&mut self, asker: Asker, id: &str) -> SysResult<()> {
        match self.begin_reopen(asker, id) {
            Ok(()) => Ok(()),
            Err(failure) => self.answer(asker, Err(failure)),
        }
    }

    fn begin_reopen(&mut self, asker: Asker, id: &str) -> Result<(), Box<Failure>> {
        let refuse = |kind, text: &str| failure(kind, OPERATION, id, format!("container {id} {text}"));
        let container = self.container_key(id).ok_or_else(|| refuse(Kind::NotFound, "is not here"))?;
        let Some(found) = self.containers.get(&container).filter(|c| c.phase == Phase::Running && c.is_alive()) else {
            return Err(refuse(Kind::FailedPrecondition, "does not run"));
        };
        if found.log_path.is_empty() {
            return Err(refuse(Kind::FailedPrecondition, "has no log"));
        }
        let (ours, theirs) = report::pair().map_err(|e| step_failure(&e))?;
        let Forked::Parent(pid) = clone::fork(0, None).map_err(|e| sys_failure(&e))? else {
            open_and_hand_over(&found.log_path, &theirs);
        };
        let key = self.key();
        self.watch_report(key, &ours).map_err(|e| sys_failure(&e))?;
        self.reopens.insert(key, Reopen { container, asker, pid, report: Some(Ear::new(ours, pid, false)) });
        self.timers.add(clock::deadline(DEADLINE_MS), Due::ReopenDeadline(key));
        Ok(())
    }

    /// The new file has come. What was logged before is in the old one, whole.
    pub(crate) fn reopened(&mut self, key: u64, file: OwnedFd, remote: bool) -> SysResult<()> {
        self.close_report(key);
        let Some(reopen) = self.reopens.remove(&key) else { return Ok(()) };
        let answer = match self.containers.get_mut(&reopen.container) {
            Some(container) if container.log.is_open() => {
                container.log.open(file, remote);
                self.log_ready(reopen.container)?;
                done()
            }
            _ => Err(failure(Kind::FailedPrecondition, OPERATION, "", "the container ended meanwhile")),
        };
        self.answer(reopen.asker, answer)
    }

    /// It could not be opened: the old file stays.
    pub(crate) fn reopen_failed(&mut self, key: u64, why: Box<Failure>) -> SysResult<()> {
        self.close_report(key);
        let Some(reopen) = self.reopens.remove(&key) else { return Ok(()) };
        self.answer(reopen.asker, Err(why))
    }

    /// It takes too long: the child is left to itself.
    pub(crate) fn reopen_deadline(&mut self, key: u64) -> SysResult<()> {
        let Some(reopen) = self.reopens.get(&key) else { return Ok(()) };
        let path = self.containers.get(&reopen.container).map(|c| c.log_path.clone()).unwrap_or_default();
        let text = format!("process {} did not get done with opening {path}", reopen.pid);
        // It is our child and not reaped as long as it is stuck.
        let _ = signal::send(reopen.pid, 9);
        self.reopen_failed(key, failure(Kind::DeadlineExceeded, OPERATION, &path, text))
    }
}

fn open_and_hand_over(path: &str, socket: &OwnedFd) -> ! {
    let opened = place::strip(&[socket.as_fd()]).and_then(|()| {
        signal::reset_all();
        let file = logfile::open(path)?;
        Ok((logfile::is_remote(&file)?, file))
    });
    let told = match opened {
        Ok((remote, file)) => report::send(socket, &Report::Log { remote }, Some(file.as_fd())),
        Err(error) => report::send(socket, &Report::Failed(error), None),
    };
    clone::exit_now(i32::from(told.is_err()))
}
