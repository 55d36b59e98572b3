//! A checkpoint while commands run in its containers: what was started beside a container's own process cannot be
//! captured. Those that end by themselves soon, as probes do, are waited for; others make the checkpoint fail.

use crate::clock;
use crate::reply::{Asker, failure};
use crate::server::Monitor;
use crate::timers::Due;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{Checkpoint, Failure};
use podwright_sys::errno::SysResult;

/// How long commands are waited for, in milliseconds.
const WAIT_MS: u64 = 2000;

/// A checkpoint that has not begun.
#[derive(Debug)]
pub(crate) struct Waiting {
    asker: Asker,
    request: Checkpoint,
    /// On the boot clock.
    until: i64,
    /// The request's own end on the boot clock; 0: none.
    deadline: i64,
}

impl Monitor {
    /// A command that runs in a container of a checkpoint: the container's id and the command's program.
    pub(crate) fn command_beside(&self, request: &Checkpoint) -> Option<(String, String)> {
        self.execs.values().filter(|exec| exec.ending.is_none()).find_map(|exec| {
            let container = self.containers.get(&exec.container)?;
            let asked = request.targets.iter().any(|target| target.container_id == container.id);
            asked.then(|| (container.id.clone(), exec.program.clone()))
        })
    }

    /// Keeps a checkpoint until its commands have ended, for a while.
    pub(crate) fn wait_for_commands(&mut self, asker: Asker, request: Checkpoint) -> SysResult<()> {
        if self.waiting_checkpoint.is_some() {
            return self.start_checkpoint(asker, request); // which refuses a second one
        }
        let own = request.deadline_ms;
        let until = clock::deadline(if own == 0 { WAIT_MS } else { own.min(WAIT_MS) });
        let deadline = if own == 0 { 0 } else { clock::deadline(own) };
        self.timers.add(until, Due::CheckpointWait);
        self.waiting_checkpoint = Some(Waiting { asker, request, until, deadline });
        Ok(())
    }

    /// A command has ended, or the wait has: the checkpoint begins, goes on waiting, or fails.
    pub(crate) fn look_at_waiting(&mut self) -> SysResult<()> {
        let Some(waiting) = self.waiting_checkpoint.take() else { return Ok(()) };
        let now = clock::boot();
        let Some((id, program)) = self.command_beside(&waiting.request) else {
            let Waiting { asker, mut request, deadline, .. } = waiting;
            if deadline != 0 {
                let left = u64::try_from(deadline.saturating_sub(now)).unwrap_or(0);
                request.deadline_ms = (left / 1_000_000).max(1);
            }
            return self.start_checkpoint(asker, request);
        };
        if now < waiting.until {
            self.waiting_checkpoint = Some(waiting);
            return Ok(());
        }
        let text = format!("container {id} has a running command, which cannot be captured: {program}");
        self.answer(waiting.asker, Err(refused(&id, text)))
    }

    /// The checkpoint that waits is not made.
    pub(crate) fn refuse_waiting(&mut self, why: &str) -> SysResult<()> {
        let Some(waiting) = self.waiting_checkpoint.take() else { return Ok(()) };
        let text = format!("the checkpoint has not begun, because commands run in its containers: {why}");
        self.answer(waiting.asker, Err(refused("", text)))
    }

    /// Who asked for the checkpoint that waits has gone.
    pub(crate) fn forget_waiting(&mut self, connection: u64) {
        if self.waiting_checkpoint.as_ref().is_some_and(|waiting| waiting.asker.connection == connection) {
            self.waiting_checkpoint = None;
        }
    }
}

fn refused(id: &str, text: String) -> Box<Failure> {
    failure(Kind::FailedPrecondition, "checkpoint", id, text)
}
