//! StopContainer, SignalContainer, RemoveContainer. A stop's deadline is kept here, daemon or not.

use crate::clock;
use crate::container::Phase;
use crate::external::External;
use crate::kill;
use crate::reply::{Asker, done, failure, sys_failure};
use crate::server::Monitor;
use crate::timers::Due;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{Failure, SignalContainer, StopContainer, StopContainerReply, response};
use podwright_sys::errno::SysResult;
use podwright_sys::signal;

/// How long after the kill a process counts as stuck, in milliseconds.
const STUCK_MS: u64 = 10_000;

/// Without cgroup.kill a fork may slip through a kill: it is repeated, in milliseconds.
const AGAIN_MS: u64 = 100;

/// A stop under way.
#[derive(Debug)]
pub(crate) struct Stop {
    /// When everything is killed, on the boot clock.
    pub(crate) deadline: i64,
    /// When it was killed, 0 before.
    pub(crate) killed_at: i64,
    /// The signal that is sent when the program runs: it is only being started. 0: none.
    pub(crate) postponed: i32,
    /// Who waits for the end.
    pub(crate) askers: Vec<Asker>,
}

fn not_found(operation: &str, id: &str) -> Box<Failure> {
    failure(Kind::NotFound, operation, id, format!("container {id} is not here"))
}

impl Monitor {
    /// Begins or shortens a stop; the answer comes when the exit is recorded.
    pub(crate) fn stop_container(&mut self, asker: Asker, request: &StopContainer) -> SysResult<()> {
        const OPERATION: &str = "stop the container";
        let id = &request.container_id;
        let Some(key) = self.container_key(id) else {
            return self.answer(asker, Err(not_found(OPERATION, id)));
        };
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        if container.phase == Phase::Ended {
            let exit = container.exit.clone();
            return self
                .answer(asker, Ok(response::Result::StopContainer(StopContainerReply { exit, stuck: Vec::new() })));
        }
        if !(1..=64).contains(&request.signal) && request.timeout_ms > 0 {
            let text = format!("{} is no signal", request.signal);
            return self.answer(asker, Err(failure(Kind::Invalid, OPERATION, id, text)));
        }
        let running = matches!(container.phase, Phase::Starting(_) | Phase::Running);
        self.stop_errands_on(key, id);
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let wait = if running { request.timeout_ms } else { 0 };
        let wanted = clock::deadline(wait);
        let (pid, first) = (container.pid, container.stop.is_none());
        let stop = container.stop.get_or_insert_with(|| Stop {
            deadline: wanted,
            killed_at: 0,
            postponed: 0,
            askers: Vec::new(),
        });
        stop.askers.push(asker);
        stop.deadline = stop.deadline.min(wanted);
        let (deadline, killed) = (stop.deadline, stop.killed_at != 0);
        if wait == 0 && !killed {
            return self.kill_now(key);
        }
        if first && wait > 0 {
            kill::thaw(&container.cgroup);
            if container.external.as_ref().is_some_and(External::takes_signals) {
                // one that cannot be sent is like one that is not heeded: the deadline follows
                let _ = self.signal_external(key, request.signal);
            } else if matches!(container.phase, Phase::Starting(_)) && container.external.is_none() {
                // what sets the program up would not heed it
                stop.postponed = request.signal;
            } else if pid != 0 {
                // It may have ended this moment; its end is seen next.
                let _ = signal::send(pid, request.signal);
            }
        }
        self.timers.add(deadline, Due::StopDeadline(key));
        Ok(())
    }

    /// The program runs: the signal of a stop that came before is sent now.
    pub(crate) fn send_postponed(&mut self, key: u64) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        let signal = container.stop.as_mut().map_or(0, |stop| std::mem::take(&mut stop.postponed));
        if signal != 0 && container.pid != 0 {
            // it may have ended this moment; its end is seen next
            let _ = signal::send(container.pid, signal);
        }
    }

    /// A stop's grace is over, if it has not been shortened or ended meanwhile.
    pub(crate) fn stop_deadline(&mut self, key: u64) -> SysResult<()> {
        let now = clock::boot();
        let stop = self.containers.get(&key).and_then(|c| c.stop.as_ref());
        if stop.is_some_and(|s| s.killed_at == 0 && s.deadline <= now) { self.kill_now(key) } else { Ok(()) }
    }

    fn kill_now(&mut self, key: u64) -> SysResult<()> {
        self.kill_container(key);
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        if let Some(stop) = &mut container.stop {
            stop.killed_at = clock::boot();
        }
        if container.cgroup.kill_file.is_empty() {
            self.timers.add(clock::deadline(AGAIN_MS), Due::KillAgain(key));
        }
        self.timers.add(clock::deadline(STUCK_MS), Due::Stuck(key));
        Ok(())
    }

    /// Repeats a kill until the container has ended.
    pub(crate) fn kill_again(&mut self, key: u64) {
        if self.containers.get(&key).is_some_and(|c| c.phase != Phase::Ended) {
            self.kill_container(key);
            self.timers.add(clock::deadline(AGAIN_MS), Due::KillAgain(key));
        }
    }

    /// Killed long ago and still there: who waits is told what hangs where.
    pub(crate) fn stop_stuck(&mut self, key: u64) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key).filter(|c| c.phase != Phase::Ended) else { return Ok(()) };
        let Some(stop) = &mut container.stop else { return Ok(()) };
        let askers = std::mem::take(&mut stop.askers);
        let stuck = kill::stuck(&container.cgroup);
        for asker in askers {
            let reply = StopContainerReply { exit: None, stuck: stuck.clone() };
            self.answer(asker, Ok(response::Result::StopContainer(reply)))?;
        }
        Ok(())
    }

    /// The exit is recorded: who waited for the stop is answered.
    pub(crate) fn answer_stopped(&mut self, key: u64, stop: Stop) -> SysResult<()> {
        let exit = self.containers.get(&key).and_then(|c| c.exit.clone());
        for asker in stop.askers {
            let reply = StopContainerReply { exit: exit.clone(), stuck: Vec::new() };
            self.answer(asker, Ok(response::Result::StopContainer(reply)))?;
        }
        Ok(())
    }

    /// Sends one signal.
    pub(crate) fn signal_container(&mut self, request: &SignalContainer) -> crate::reply::Answer {
        const OPERATION: &str = "signal the container";
        let id = &request.container_id;
        let key = self.container_key(id).ok_or_else(|| not_found(OPERATION, id))?;
        let container = self.containers.get(&key).ok_or_else(|| not_found(OPERATION, id))?;
        if !(1..=64).contains(&request.signal) {
            return Err(failure(Kind::Invalid, OPERATION, id, format!("{} is no signal", request.signal)));
        }
        if container.phase != Phase::Running || !container.is_alive() {
            return Err(failure(Kind::FailedPrecondition, OPERATION, id, format!("container {id} does not run")));
        }
        if container.external.as_ref().is_some_and(External::takes_signals) {
            self.signal_external(key, request.signal)?;
            return done();
        }
        let sent = if request.all {
            kill::signal_cgroup(&container.cgroup, request.signal)
        } else {
            signal::send(container.pid, request.signal)
        };
        sent.map_err(|e| sys_failure(&e))?;
        done()
    }

    /// Kills and forgets a container; one that is not here is forgotten already.
    pub(crate) fn remove_container(&mut self, asker: Asker, id: &str) -> SysResult<()> {
        let Some(key) = self.container_key(id) else {
            // one whose creation failed is gone for everybody but its last hooks, which need its bundle
            return match self.with_last_hooks(id) {
                Some((key, failed)) => {
                    failed.removers.push(asker);
                    self.hurry_hooks(Some(key));
                    Ok(())
                }
                None => self.answer(asker, done()),
            };
        };
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        container.removers.push(asker);
        match container.phase {
            Phase::Ended => return self.forget_container(key),
            Phase::Creating(_) => {
                let why = failure(Kind::Internal, "create the container", id, "the container was removed meanwhile");
                return self.container_failed(key, why);
            }
            _ => self.kill_container(key),
        }
        Ok(())
    }
}
