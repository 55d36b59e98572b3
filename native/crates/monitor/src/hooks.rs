//! Hooks of the runtime's namespaces: each moment's run in a process of its own, which is heard and never waited for.

use crate::clock;
use crate::container::{Container, Phase};
use crate::reply::{Asker, failure, sys_failure};
use crate::sandbox::step_failure;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::ear::Ear;
use podwright_container::hooks::runtime::{self, Task};
use podwright_container::report;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{CreateContainer, Failure, Note, StartContainerReply, event, response};
use podwright_sys::clone::{self, Forked};
use podwright_sys::errno::SysResult;
use podwright_sys::signal;
use rustix::net::{SendFlags, Shutdown};
use std::os::fd::OwnedFd;

pub(crate) use runtime::Moment;

/// How long a removal, or the end of the sandbox, waits for poststop hooks, in milliseconds.
const HURRY_MS: u64 = 8_000;

/// A run that was told to end and has not is killed after so long, in milliseconds.
const TOLD_MS: u64 = 5000;

/// What the monitor keeps of the hooks of a container.
#[derive(Debug)]
pub(crate) struct Hooks {
    /// The container's id; its own may be cleared.
    id: String,
    moments: Vec<Moment>,
    namespaces: Vec<OwnedFd>,
    stopped: Stopped,
    /// Why its creation failed, and who is told when the poststop hooks have run.
    held: Option<(Asker, Box<Failure>)>,
}

/// How far the poststop hooks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Due,
    Running,
    Done,
}

/// A process that runs the hooks of one moment.
#[derive(Debug)]
pub(crate) struct HookRun {
    container: u64,
    moment: Moment,
    /// 0 when it has ended.
    pid: i32,
    /// The way to it.
    pub(crate) report: Option<Ear>,
    /// It was told to end.
    told: bool,
    worked: bool,
    failed: Option<Box<Failure>>,
    /// Who waits for the start, and the answer if it is one.
    starter: Option<(Asker, StartContainerReply)>,
}

impl Hooks {
    /// What a request says; none for a container without hooks.
    pub(crate) fn of(request: &CreateContainer) -> Result<Option<Box<Self>>, Box<Failure>> {
        let Some(asked) = &request.hooks else { return Ok(None) };
        let table =
            [(asked.create, Moment::Create), (asked.started, Moment::Started), (asked.stopped, Moment::Stopped)];
        let moments: Vec<Moment> = table.into_iter().filter(|(set, _)| *set).map(|(_, moment)| moment).collect();
        let stopped = if asked.stopped { Stopped::Due } else { Stopped::Done };
        let namespaces = runtime::namespaces(asked.runtime_pid).map_err(|e| step_failure(&e))?;
        Ok(Some(Box::new(Self { id: request.container_id.clone(), moments, namespaces, stopped, held: None })))
    }

    /// Whether there still are poststop hooks to be run.
    pub(crate) fn are_left(&self) -> bool {
        self.stopped != Stopped::Done
    }
}

impl Monitor {
    /// Whether a container has hooks of a moment.
    pub(crate) fn has_hooks(&self, key: u64, moment: Moment) -> bool {
        self.containers.get(&key).and_then(|c| c.hooks.as_ref()).is_some_and(|h| h.moments.contains(&moment))
    }

    /// Runs the hooks of a moment; `starter` is answered when they have worked.
    pub(crate) fn run_hooks(
        &mut self,
        container: u64,
        moment: Moment,
        starter: Option<(Asker, StartContainerReply)>,
    ) -> SysResult<()> {
        let run =
            HookRun { container, moment, pid: 0, report: None, told: false, worked: false, failed: None, starter };
        let key = self.key();
        match self.fork_hooks(key, container, moment) {
            Ok((pid, report)) => {
                self.hook_runs.insert(key, HookRun { pid, report: Some(report), ..run });
                Ok(())
            }
            Err(why) => {
                self.hook_runs.insert(key, HookRun { failed: Some(why), ..run });
                self.hooks_ended(key)
            }
        }
    }

    fn fork_hooks(&mut self, key: u64, container: u64, moment: Moment) -> Result<(i32, Ear), Box<Failure>> {
        let found = self.containers.get(&container).and_then(|c| Some((c, c.hooks.as_ref()?)));
        let Some((container, hooks)) = found else {
            return Err(failure(Kind::Internal, "run hooks", "", "hooks came that nobody has told of"));
        };
        let (ours, theirs) = report::pair().map_err(|e| step_failure(&e))?;
        let (id, bundle, namespaces) = (hooks.id.as_str(), container.bundle.as_str(), hooks.namespaces.as_slice());
        let Forked::Parent(pid) = clone::fork(0, None).map_err(|e| sys_failure(&e))? else {
            runtime::run(&Task { moment, id, pid: container.pid, bundle, namespaces }, &theirs);
        };
        self.watch_report(key, &ours).map_err(|e| sys_failure(&e))?;
        Ok((pid, Ear::new(ours, pid, false)))
    }

    /// All hooks of a run have worked; its process ends next.
    pub(crate) fn hooks_worked(&mut self, key: u64) {
        if let Some(run) = self.hook_runs.get_mut(&key) {
            run.worked = true;
        }
    }

    /// A hook has failed; the run's process ends next.
    pub(crate) fn hooks_failed(&mut self, key: u64, why: Box<Failure>) {
        if let Some(run) = self.hook_runs.get_mut(&key) {
            run.failed.get_or_insert(why);
        }
    }

    /// A hook has failed, which stops nothing.
    pub(crate) fn hook_note(&mut self, key: u64, text: String) -> SysResult<()> {
        let container = self.hook_runs.get(&key).and_then(|run| self.containers.get(&run.container));
        let Some(id) = container.and_then(|c| c.hooks.as_ref()).map(|h| h.id.clone()) else { return Ok(()) };
        self.push(event::Event::Note(Note { container_id: id, text }))
    }

    /// A run's process has ended. True: it was one.
    pub(crate) fn take_hooks(&mut self, pid: i32) -> bool {
        let found = self.hook_runs.values_mut().find(|run| run.pid == pid);
        found.map(|run| run.pid = 0).is_some()
    }

    /// A run is over.
    pub(crate) fn hooks_ended(&mut self, key: u64) -> SysResult<()> {
        let Some(run) = self.hook_runs.remove(&key) else { return Ok(()) };
        let lost = || failure(Kind::Internal, "run hooks", "", "the process that ran the hooks was ended");
        let failed = run.failed.or_else(|| (!run.worked).then(lost));
        match run.moment {
            Moment::Create => self.created_by_hooks(run.container, failed),
            Moment::Started => self.started_by_hooks(run.container, run.starter, failed),
            Moment::Stopped => self.stopped_by_hooks(run.container, failed),
        }
    }

    fn created_by_hooks(&mut self, key: u64, failed: Option<Box<Failure>>) -> SysResult<()> {
        if self.containers.get(&key).is_some_and(|c| c.phase == Phase::Failed && !c.is_alive()) {
            return self.forget_container(key); // its last hooks have waited for these
        }
        if let Some(why) = failed {
            return self.container_failed(key, why);
        }
        if let Some(report) = self.containers.get(&key).and_then(|c| c.report.as_ref()) {
            // a child that has ended cannot be told; its end is seen next
            let _ = rustix::net::send(report, b"h", SendFlags::NOSIGNAL);
        }
        Ok(())
    }

    fn started_by_hooks(
        &mut self,
        key: u64,
        starter: Option<(Asker, StartContainerReply)>,
        failed: Option<Box<Failure>>,
    ) -> SysResult<()> {
        let Some((asker, reply)) = starter else { return Ok(()) };
        let answer = failed.map_or(Ok(response::Result::StartContainer(reply)), Err);
        let worked = answer.is_ok();
        self.answer(asker, answer)?;
        if self.containers.get(&key).is_some_and(|c| c.phase == Phase::Ended) {
            return self.has_stopped(key).map(drop);
        }
        if worked {
            return Ok(());
        }
        // of one that is being stopped the end tells more than hooks that had to go with it
        let runs = |c: &&mut Container| c.phase == Phase::Running && c.is_alive() && c.stop.is_none();
        if let Some(container) = self.containers.get_mut(&key).filter(runs) {
            container.start_failed = true;
            container.started_at = 0; // it counts as one that never was
            self.kill_container(key);
        }
        Ok(())
    }

    fn stopped_by_hooks(&mut self, key: u64, failed: Option<Box<Failure>>) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let Some(hooks) = &mut container.hooks else { return Ok(()) };
        hooks.stopped = Stopped::Done;
        let wanted = container.phase == Phase::Failed || !container.removers.is_empty();
        let note = failed.map(|why| Note { container_id: hooks.id.clone(), text: why.detail });
        note.map_or(Ok(()), |note| self.push(event::Event::Note(note)))?;
        self.answer_held(key)?;
        if wanted {
            self.forget_container(key)?;
        }
        self.look_for_end()
    }

    /// Whether the poststop hooks of a container that has ended have run; they are begun if not.
    pub(crate) fn has_stopped(&mut self, key: u64) -> SysResult<bool> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(true) };
        let removed = !container.removers.is_empty() || self.ending.is_some();
        let Some(hooks) = container.hooks.as_mut().filter(|h| h.stopped != Stopped::Done) else { return Ok(true) };
        let waited = removed || hooks.held.is_some();
        // hooks of its creation or its start may still run, or be ending: those come first
        let busy = self.hook_runs.values().any(|run| run.container == key && run.moment != Moment::Stopped);
        if hooks.stopped == Stopped::Due && !busy {
            hooks.stopped = Stopped::Running;
            self.run_hooks(key, Moment::Stopped, None)?;
        }
        if waited {
            self.hurry_hooks(Some(key));
        }
        Ok(false)
    }

    /// Keeps the answer of a failed creation until its poststop hooks have run, as long as those need the bundle. What
    /// is not kept comes back.
    pub(crate) fn hold_until_stopped(&mut self, key: u64, asker: Asker, why: Box<Failure>) -> Option<Box<Failure>> {
        let container = self.containers.get_mut(&key).filter(|c| c.is_alive());
        let Some(hooks) = container.and_then(|c| c.hooks.as_mut()).filter(|h| h.stopped != Stopped::Done) else {
            return Some(why);
        };
        hooks.held = Some((asker, why));
        None
    }

    /// A container whose creation failed and whose last hooks are still to be run, or run.
    pub(crate) fn with_last_hooks(&mut self, id: &str) -> Option<(u64, &mut Container)> {
        let ends = |c: &Container, h: &Hooks| match h.stopped {
            Stopped::Due => c.id == id, // a process that is given up has no name any more, and may never end
            Stopped::Running => h.id == id,
            Stopped::Done => false,
        };
        let failed = |c: &Container| c.phase == Phase::Failed && c.hooks.as_ref().is_some_and(|h| ends(c, h));
        self.containers.iter_mut().find(|(_, c)| failed(c)).map(|(key, c)| (*key, c))
    }

    /// Tells whoever waits why the creation failed.
    pub(crate) fn answer_held(&mut self, key: u64) -> SysResult<()> {
        let hooks = self.containers.get_mut(&key).and_then(|c| c.hooks.as_mut());
        let Some((asker, why)) = hooks.and_then(|h| h.held.take()) else { return Ok(()) };
        self.answer(asker, Err(why))
    }

    /// The container is killed: its creation or its start goes no further.
    pub(crate) fn end_creation_hooks(&mut self, container: u64) {
        self.end_external_start(container);
        let begun = |run: &HookRun| run.container == container && run.moment != Moment::Stopped;
        let keys: Vec<u64> = self.hook_runs.iter().filter(|(_, run)| begun(run)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.end_hooks(key));
    }

    /// The pod ends: so long its hooks have from now on, all of them.
    pub(crate) fn hurry_all_hooks(&mut self) {
        self.hooks_end = Some(clock::deadline(HURRY_MS));
        self.hurry_hooks(None);
    }

    /// Somebody waits for the end of the last hooks of a container, or of all: it comes soon, one way or the other.
    pub(crate) fn hurry_hooks(&mut self, only: Option<u64>) {
        let wanted = |run: &HookRun| run.moment != Moment::Create && only.is_none_or(|key| run.container == key);
        let stopping = self.hook_runs.iter().filter(|(_, run)| wanted(run));
        let keys: Vec<u64> = stopping.map(|(key, _)| *key).collect();
        // of a pod that ends all have the same time, whenever they began
        let limit = self.hooks_end.unwrap_or_else(|| clock::deadline(HURRY_MS));
        for key in keys {
            self.timers.add(limit, Due::HooksLimit(key));
        }
    }

    /// Has a run end the hook at work, with what that has started, and itself.
    pub(crate) fn end_hooks(&mut self, key: u64) {
        let Some(run) = self.hook_runs.get_mut(&key).filter(|run| !run.told) else { return };
        run.told = true;
        if let Some(report) = &run.report {
            // it may have ended this moment
            let _ = rustix::net::shutdown(report, Shutdown::Write);
        }
        self.timers.add(clock::deadline(TOLD_MS), Due::HooksKill(key));
    }

    /// A run was told to end and has not; the hook at work dies with it.
    pub(crate) fn kill_hooks(&mut self, key: u64) {
        if let Some(run) = self.hook_runs.get(&key).filter(|run| run.pid != 0) {
            // our child and not reaped
            let _ = signal::send(run.pid, 9);
        }
    }
}
