//! Containers that another runtime makes: its processes are forked here, heard, and cleared up after. Everything else
//! of such a container (log, exit, deadlines, kills) is what it is for any.

use crate::clock;
use crate::container::{Container, Phase};
use crate::create::{overlay, relabel};
use crate::output::Ends;
use crate::reply::sys_failure;
use crate::sandbox::{Sandbox, place, step_failure};
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::ear::Ear;
use podwright_container::handles::Handles;
use podwright_container::hooks::runtime as hooks;
use podwright_container::report;
use podwright_container::shared_mount::SharedMount;
use podwright_external::command::Target;
use podwright_external::create::{self, CreateRequest};
use podwright_external::delete::{self, Verb};
use podwright_external::exec::ExecRequest;
use podwright_external::runtime::{Flavor, Pod, Runtime};
use podwright_protocol::message::{CreateContainer, ExternalRuntime, Failure, external_runtime};
use podwright_sys::buffer::SharedNote;
use podwright_sys::clone::{self, Forked};
use podwright_sys::errno::SysResult;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Who makes a container and was told to end is killed after so long, in milliseconds.
const TOLD_MS: u64 = 5000;

/// What the monitor keeps of the runtime of a container.
#[derive(Debug)]
pub(crate) struct External {
    runtime: Runtime,
    /// Those that its hooks are run in; none: it has no hooks.
    namespaces: Vec<OwnedFd>,
    /// The container's id as the runtime knows it; the container's own may be cleared.
    id: String,
    bundle: String,
    /// Its `start` has worked.
    started: bool,
    deletion: Deletion,
    /// The container is to be forgotten when the runtime has.
    forget: bool,
}

/// How far the runtime's own record of the container is removed.
#[derive(Debug, Clone, PartialEq)]
enum Deletion {
    /// Not begun.
    Due,
    /// A helper is at it.
    Running,
    /// Nothing is left.
    Done,
    /// It did not work; the next removal tries again.
    Failed(Box<Failure>),
}

/// A helper process that carries out one verb of a runtime on a container.
#[derive(Debug)]
pub(crate) struct RuntimeHelper {
    container: u64,
    verb: Verb,
    /// The way to it.
    pub(crate) report: Option<Ear>,
    failed: Option<Box<Failure>>,
}

impl External {
    /// What a request says; none for the monitor's own containers.
    pub(crate) fn of(request: &CreateContainer) -> Result<Option<Self>, Box<Failure>> {
        let Some(asked) = &request.external else { return Ok(None) };
        let namespaces = match asked.runtime_pid {
            0 => Vec::new(),
            pid => hooks::namespaces(pid).map_err(|e| step_failure(&e))?,
        };
        let (runtime, id, bundle) = (runtime(asked), request.container_id.clone(), request.bundle.clone());
        Ok(Some(Self { runtime, namespaces, id, bundle, started: false, deletion: Deletion::Due, forget: false }))
    }

    /// Whether signals to the container's process have to go through the runtime.
    pub(crate) fn takes_signals(&self) -> bool {
        self.runtime.flavor == Flavor::Runsc
    }

    /// Whether the runtime still has something of it.
    pub(crate) fn is_left(&self) -> bool {
        matches!(self.deletion, Deletion::Due | Deletion::Running)
    }

    /// Its `start` has worked.
    pub(crate) fn set_started(&mut self) {
        self.started = true;
    }

    /// Whether its `start` has worked.
    pub(crate) fn has_started(&self) -> bool {
        self.started
    }

    /// A command in the container.
    pub(crate) fn exec(&self, key: u64, process: &str, unified_dir: Option<&str>) -> ExecRequest {
        ExecRequest {
            runtime: self.runtime.clone(),
            id: self.id.clone(),
            bundle: self.bundle.clone(),
            name: format!("exec-{key}"),
            process: process.into(),
            unified_dir: unified_dir.unwrap_or_default().into(),
        }
    }
}

fn runtime(asked: &ExternalRuntime) -> Runtime {
    let flavor = match asked.flavor() {
        external_runtime::Flavor::Oci => Flavor::Oci,
        external_runtime::Flavor::Runsc => Flavor::Runsc,
    };
    let (path, root, args) = (asked.path.clone(), asked.root.clone(), asked.args.clone());
    let pod =
        asked.pod.as_ref().map(|p| Pod { id: p.id.clone(), bundle: p.bundle.clone(), place: place(p.cgroup.as_ref()) });
    Runtime { path, root, args, hide_unified: asked.hide_unified, flavor, pod }
}

/// Forks the child that makes a container through its runtime; none when the request names no runtime.
pub(crate) fn fork_create(
    sandbox: &Sandbox,
    request: &CreateContainer,
    limit_ms: u32,
    ends: &Ends,
    socket: &OwnedFd,
    note: &SharedNote,
) -> Result<Option<i32>, Box<Failure>> {
    let Some(asked) = &request.external else { return Ok(None) };
    let create = CreateRequest {
        runtime: runtime(asked),
        id: request.container_id.clone(),
        bundle: request.bundle.clone(),
        overlay: overlay(request),
        relabel: relabel(request),
        place: place(request.cgroup.as_ref().and_then(|c| c.place.as_ref())),
        log_path: request.log.as_ref().map(|l| l.path.clone()).unwrap_or_default(),
        terminal: request.terminal,
        limit: Duration::from_millis(limit_ms.into()),
        runtime_pid: asked.runtime_pid,
    };
    let Forked::Parent(pid) = clone::fork(0, None).map_err(|e| sys_failure(&e))? else {
        let mut handles = Handles::new(socket.as_fd());
        handles.stdin = ends.stdin.as_ref().map(AsFd::as_fd);
        handles.stdout = ends.stdout.as_ref().map(AsFd::as_fd);
        handles.stderr = ends.stderr.as_ref().map(AsFd::as_fd);
        handles.shm = sandbox.shm.as_ref().filter(|_| request.shm).map(SharedMount::borrow);
        create::run(&create, &handles, note);
    };
    Ok(Some(pid))
}

fn reached_by_runtime(container: &Container) -> bool {
    container.external.as_ref().is_some_and(External::takes_signals)
}

impl Monitor {
    /// Whether it is still open what the end of a container's process means: its runtime's `start` is under way.
    pub(crate) fn is_undecided(&self, key: u64) -> bool {
        let starting = |phase| matches!(phase, Phase::Starting(_));
        self.containers.get(&key).is_some_and(|c| c.external.is_some() && starting(c.phase) && c.report.is_some())
    }

    /// The runtime's `start` has told how it went: an end that came before is handled now.
    pub(crate) fn decide(&mut self, key: u64) -> SysResult<()> {
        let pid = self.containers.get(&key).filter(|c| c.external.is_some()).map_or(0, |c| c.pid);
        if pid == 0 { Ok(()) } else { self.take_stray(pid) }
    }

    /// A container that is killed while its runtime's `start` is at work: that ends too, with the hooks that it runs.
    pub(crate) fn end_external_start(&self, key: u64) {
        let starts = |c: &&Container| c.external.is_some() && matches!(c.phase, Phase::Starting(_));
        if let Some(report) = self.containers.get(&key).filter(starts).and_then(|c| c.report.as_ref()) {
            // it may have ended this moment
            let _ = rustix::net::shutdown(report, rustix::net::Shutdown::Write);
        }
    }

    /// A container whose creation is given up while its runtime's `create` is at work: that ends with the hooks that it
    /// runs, and who has started it. True where that is so.
    pub(crate) fn end_external_creation(&mut self, key: u64) -> bool {
        let made = |c: &&Container| c.external.is_some() && matches!(c.phase, Phase::Creating(_) | Phase::Failed);
        let Some(report) = self.containers.get(&key).filter(made).and_then(|c| c.report.as_ref()) else { return false };
        // it may have ended this moment
        let _ = rustix::net::shutdown(report, rustix::net::Shutdown::Write);
        self.timers.add(clock::deadline(TOLD_MS), Due::HelperKill(key));
        true
    }

    /// Who makes a container was told to end and has not.
    pub(crate) fn kill_helper(&mut self, key: u64) {
        let made = |c: &&Container| matches!(c.phase, Phase::Creating(_) | Phase::Failed) && c.is_alive();
        if let Some(container) = self.containers.get(&key).filter(made) {
            // our child and not reaped
            let _ = podwright_sys::signal::send(container.pid, 9);
        }
    }

    /// Begins to remove what the runtime has of a container that has ended, once.
    pub(crate) fn delete_external(&mut self, key: u64) -> SysResult<()> {
        let Some(external) = self.containers.get_mut(&key).and_then(|c| c.external.as_mut()) else { return Ok(()) };
        if matches!(external.deletion, Deletion::Running | Deletion::Done) {
            return Ok(());
        }
        external.deletion = Deletion::Running;
        match self.fork_helper(key, Verb::Delete) {
            Ok(()) => Ok(()),
            Err(why) => self.deleted(key, Some(why)),
        }
    }

    /// Sends a signal through the runtime. One that cannot be sent is like one that comes too late: the deadline of
    /// the stop follows.
    pub(crate) fn signal_external(&mut self, key: u64, number: i32) -> Result<(), Box<Failure>> {
        self.fork_helper(key, Verb::Kill(number, Target::Process))
    }

    /// Kills all of a container that the runtime alone can reach. True where that is so and it runs.
    pub(crate) fn kill_external(&mut self, key: u64) -> bool {
        let runs = |c: &Container| matches!(c.phase, Phase::Starting(_) | Phase::Running) && c.is_alive();
        if !self.containers.get(&key).is_some_and(|c| reached_by_runtime(c) && runs(c)) {
            return false;
        }
        // one that cannot be killed is told as stuck
        let _ = self.fork_helper(key, Verb::Kill(9, Target::All));
        true
    }

    /// Kills what an exec has started in a container that the runtime alone can reach.
    pub(crate) fn kill_inner(&mut self, container: u64, inner: i32) {
        if inner > 0 && self.containers.get(&container).is_some_and(reached_by_runtime) {
            // it may have ended
            let _ = self.fork_helper(container, Verb::Kill(9, Target::Group(inner)));
        }
    }

    fn fork_helper(&mut self, container: u64, verb: Verb) -> Result<(), Box<Failure>> {
        let Some(external) = self.containers.get(&container).and_then(|c| c.external.as_ref()) else { return Ok(()) };
        let (ours, theirs) = report::pair().map_err(|e| step_failure(&e))?;
        let Forked::Parent(pid) = clone::fork(0, None).map_err(|e| sys_failure(&e))? else {
            delete::run(&external.runtime, &external.id, verb, (&theirs, &external.namespaces));
        };
        let key = self.key();
        self.watch_report(key, &ours).map_err(|e| sys_failure(&e))?;
        let report = Some(Ear::new(ours, pid, false));
        self.helpers.insert(key, RuntimeHelper { container, verb, report, failed: None });
        Ok(())
    }

    /// A helper says what went wrong; it ends next.
    pub(crate) fn helper_failed(&mut self, key: u64, why: Box<Failure>) {
        if let Some(helper) = self.helpers.get_mut(&key) {
            helper.failed = Some(why);
        }
    }

    /// A helper has ended.
    pub(crate) fn helper_ended(&mut self, key: u64) -> SysResult<()> {
        let Some(helper) = self.helpers.remove(&key) else { return Ok(()) };
        match helper.verb {
            Verb::Delete => self.deleted(helper.container, helper.failed),
            Verb::Kill(..) => Ok(()),
        }
    }

    fn deleted(&mut self, key: u64, failed: Option<Box<Failure>>) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let Some(external) = &mut container.external else { return Ok(()) };
        let Some(why) = failed else {
            external.deletion = Deletion::Done;
            let forget = external.forget;
            if forget {
                self.forget_container(key)?;
            }
            return self.look_for_end();
        };
        external.deletion = Deletion::Failed(why.clone());
        external.forget = false;
        let removers = std::mem::take(&mut container.removers);
        for asker in removers {
            self.answer(asker, Err(why.clone()))?;
        }
        self.look_for_end()
    }

    /// Whether a container may be forgotten now; otherwise its runtime is told to, and it is forgotten then.
    pub(crate) fn may_forget(&mut self, key: u64) -> SysResult<bool> {
        let Some(external) = self.containers.get_mut(&key).and_then(|c| c.external.as_mut()) else { return Ok(true) };
        if external.deletion == Deletion::Done {
            return Ok(true);
        }
        external.forget = true;
        self.delete_external(key)?;
        Ok(false)
    }
}
