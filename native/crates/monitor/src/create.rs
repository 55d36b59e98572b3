//! CreateContainer and StartContainer: the init child is forked, heard, let go.

use crate::clock::{self, start_time};
use crate::container::{Container, Held, Phase};
use crate::external::{self, External};
use crate::hooks::{Hooks, Moment};
use crate::log::Log;
use crate::numbering::Numbering;
use crate::oom::Oom;
use crate::output::{Pipes, Wanted};
use crate::poller::{Output, Source};
use crate::reply::{Asker, failure, sys_failure};
use crate::revival::Criu;
use crate::sandbox::{Sandbox, place, step_failure};
use crate::server::{Monitor, SCRATCH};
use crate::timers::Due;
use podwright_container::ear::Ear;
use podwright_container::handles::Handles;
use podwright_container::init;
use podwright_container::place::fork_into;
use podwright_container::relabel::Relabel;
use podwright_container::report::{self, FoundDevice};
use podwright_container::request::{Filter, Overlay, PidMode, Request};
use podwright_container::shared_mount::SharedMount;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{
    CreateContainer, CreateContainerReply, Device, Failure, StartContainerReply, response,
};
use podwright_sys::buffer::SharedNote;
use podwright_sys::clone::{self, Forked};
use podwright_sys::errno::SysResult;
use podwright_sys::signal;
use std::os::fd::AsFd;

/// How long the set-up may take when the request does not say, in milliseconds.
const DEADLINE_MS: u32 = 120_000;
/// How long a process whose start failed may take to end by itself.
const FAILED_MS: u64 = 1000;

const OPERATION: &str = "create the container";

impl Monitor {
    /// Begins a container; the answer comes when it is set up.
    pub(crate) fn create_container(&mut self, asker: Asker, request: CreateContainer) -> SysResult<()> {
        match self.begin_container(asker, &request) {
            Ok(()) => Ok(()),
            Err(failure) => self.answer(asker, Err(failure)),
        }
    }

    fn begin_container(&mut self, asker: Asker, request: &CreateContainer) -> Result<(), Box<Failure>> {
        let Some(sandbox) = &self.sandbox else {
            return Err(failure(
                Kind::FailedPrecondition,
                OPERATION,
                &request.container_id,
                "the sandbox is not made yet",
            ));
        };
        self.check_container(request)?;
        let numbering = self.numbering(sandbox, request)?;
        let (hooks, external) = (Hooks::of(request)?, External::of(request)?);
        let deadline = if request.deadline_ms == 0 { DEADLINE_MS } else { request.deadline_ms };
        let child = fork_init(sandbox, request, &numbering, deadline)?;
        let key = self.key();
        let watched =
            self.poller.add(&child.report, Source::Report(key)).and_then(|()| self.watch_pipes(key, &child.pipes));
        if let Err(error) = watched {
            // nobody hears it: it ends when its socket closes
            return Err(sys_failure(&error));
        }
        self.timers.add(clock::deadline(deadline.into()), Due::CreateDeadline(key));
        self.containers.insert(key, container(asker, request, child, (external, hooks)));
        self.watch_oom(key); // what is killed of one that fails is not another's
        Ok(())
    }

    fn check_container(&self, request: &CreateContainer) -> Result<(), Box<Failure>> {
        let id = &request.container_id;
        let invalid = |text: &str| Err(failure(Kind::Invalid, OPERATION, id, text));
        if id.is_empty() || request.bundle.is_empty() {
            return invalid("container_id and bundle must not be empty");
        }
        if request.target_pid != 0 && request.target_container_id.is_empty() {
            return Err(failure(Kind::Unsupported, OPERATION, id, "a pid namespace is joined by its container's id"));
        }
        if self.ending.is_some() {
            return Err(failure(Kind::FailedPrecondition, OPERATION, id, "the sandbox is being ended"));
        }
        if self.container_key(id).is_some() {
            let text = format!("container {id} exists already");
            return Err(failure(Kind::FailedPrecondition, OPERATION, id, text));
        }
        Ok(())
    }

    fn watch_pipes(&self, key: u64, pipes: &Pipes) -> SysResult<()> {
        if let Some(fd) = &pipes.outputs.stdout {
            self.poller.add(fd, Source::Output(key, Output::Stdout))?;
        }
        if let Some(fd) = &pipes.outputs.stderr {
            self.poller.add(fd, Source::Output(key, Output::Stderr))?;
        }
        Ok(())
    }

    /// The init child has set everything up.
    pub(crate) fn container_ready(&mut self, key: u64, devices: Vec<FoundDevice>, groups: Vec<u32>) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let Phase::Creating(asker) = container.phase else { return Ok(()) };
        container.phase = Phase::Created;
        container.note = None;
        let device = |d: FoundDevice| Device {
            path: d.path,
            r#type: if d.block { "b" } else { "c" }.into(),
            major: d.major,
            minor: d.minor,
            access: d.access,
        };
        let reply = CreateContainerReply {
            pid: container.pid,
            start_time: container.start_time,
            notes: std::mem::take(&mut container.notes),
            devices: devices.into_iter().map(device).collect(),
            groups,
        };
        self.answer(asker, Ok(response::Result::CreateContainer(reply)))?;
        Ok(())
    }

    /// A step of the child failed, before the go or after it.
    pub(crate) fn container_failed(&mut self, key: u64, why: Box<Failure>) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        match container.phase {
            Phase::Creating(asker) => {
                container.phase = Phase::Failed;
                self.kill_container(key);
                match self.hold_until_stopped(key, asker, why) {
                    Some(why) => self.answer(asker, Err(why)),
                    None => Ok(()),
                }
            }
            Phase::Starting(asker) => {
                container.start_failed = true;
                let outside = container.external.is_some();
                self.answer(asker, Err(why))?;
                if outside {
                    self.kill_container(key); // what its runtime has made does not end by itself
                } else {
                    self.timers.add(clock::deadline(FAILED_MS), Due::StartFailed(key));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A start failed some time ago: whose program runs all the same, for others spoke in its place, is killed.
    pub(crate) fn start_failed(&mut self, key: u64) {
        if self.containers.get(&key).is_some_and(|c| c.start_failed && c.is_alive()) {
            self.kill_container(key);
        }
    }

    /// The set-up took too long: the child is given up, stuck or not.
    pub(crate) fn create_deadline(&mut self, key: u64) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let Phase::Creating(_) = container.phase else { return Ok(()) };
        let doing = container.note.as_ref().map(SharedNote::read).unwrap_or_default();
        let text = format!("process {} did not get done with: {doing}", container.pid);
        let mut why = failure(Kind::DeadlineExceeded, &doing, &container.id, text);
        why.operation = doing;
        self.container_failed(key, why)?;
        self.answer_held(key)?; // its end may never come
        if let Some(container) = self.containers.get_mut(&key) {
            container.id.clear(); // a retry of the same id does not wait for a stuck process
        }
        Ok(())
    }

    /// Lets a created container go; the answer comes when its program runs.
    pub(crate) fn start_container(&mut self, asker: Asker, id: &str) -> SysResult<()> {
        let refuse = |kind, text: &str| failure(kind, "start the container", id, format!("container {id} {text}"));
        let Some(key) = self.container_key(id) else {
            return self.answer(asker, Err(refuse(Kind::NotFound, "is not here")));
        };
        if self.start_revived(asker, key) {
            return Ok(());
        }
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let waiting =
            container.report.as_ref().filter(|_| container.phase == Phase::Created && container.stop.is_none());
        let Some(report) = waiting else {
            return self.answer(asker, Err(refuse(Kind::FailedPrecondition, "is not in the created state")));
        };
        // A child that has ended cannot be told; its end is seen next and answers the asker.
        let told = rustix::net::send(report, b"g", rustix::net::SendFlags::NOSIGNAL);
        container.phase = Phase::Starting(asker);
        if told.is_err() {
            let why = refuse(Kind::Internal, "ended before it was started");
            return self.container_failed(key, why);
        }
        Ok(())
    }

    /// The child's end of the report socket closed: after the go that means that exec worked.
    /// `early`: nothing was executed yet.
    pub(crate) fn container_report_ended(&mut self, key: u64, early: bool) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        match container.phase {
            Phase::Starting(_) if early && !container.start_failed => {
                let text = "the process that was to become its program ended";
                let why = failure(Kind::Internal, "start the container", &container.id, text);
                crate::kill::kill_cgroup(&container.cgroup);
                self.container_failed(key, why)
            }
            Phase::Starting(_) if container.external.as_ref().is_some_and(|e| !e.has_started()) => {
                let text = "the process that started it by its runtime ended";
                let why = failure(Kind::Internal, "start the container", &container.id, text);
                if container.start_failed { Ok(()) } else { self.container_failed(key, why) }
            }
            Phase::Starting(asker) if !container.start_failed => {
                container.phase = Phase::Running;
                container.started_at = clock::now().max(container.created_at + 1);
                let reply = StartContainerReply { pid: container.pid, started_at: container.started_at };
                self.send_postponed(key);
                if self.has_hooks(key, Moment::Started) {
                    return self.run_hooks(key, Moment::Started, Some((asker, reply)));
                }
                self.answer(asker, Ok(response::Result::StartContainer(reply)))
            }
            // the child has become criu
            Phase::Creating(_) if container.revival.is_some() => Ok(()),
            Phase::Creating(_) => {
                let why = failure(Kind::Internal, OPERATION, &container.id, "its init process ended");
                self.container_failed(key, why)
            }
            _ => Ok(()),
        }
    }

    /// The program runs in another process than the child that set it up.
    pub(crate) fn container_process(&mut self, key: u64, pid: i32) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        container.pid = pid;
        container.start_time = start_time(pid);
        self.take_stray(pid)
    }

    /// The key of a container that is not given up.
    pub(crate) fn container_key(&self, id: &str) -> Option<u64> {
        let usable = |c: &Container| c.id == id && c.phase != Phase::Failed;
        self.containers.iter().find(|(_, c)| usable(c)).map(|(key, _)| *key)
    }
}

struct Child {
    pid: i32,
    report: Ear,
    pipes: Pipes,
    note: SharedNote,
}

fn fork_init(
    sandbox: &Sandbox,
    request: &CreateContainer,
    numbering: &Numbering,
    deadline: u32,
) -> Result<Child, Box<Failure>> {
    let pid_mode = numbering.mode();
    let plan = plan(request, sandbox, pid_mode);
    let note = SharedNote::new().map_err(|e| sys_failure(&e))?;
    let (ours, theirs) = report::pair().map_err(|e| step_failure(&e))?;
    let piped = !request.terminal;
    let wanted = Wanted { stdin: piped && request.stdin, stdout: piped, stderr: piped };
    let (pipes, ends) = Pipes::make(wanted).map_err(|e| sys_failure(&e))?;
    if let Some(pid) = external::fork_create(sandbox, request, deadline, &ends, &theirs, &note)? {
        return Ok(Child { pid, report: Ear::new(ours, pid, false), pipes, note });
    }
    // in a user namespace the pid namespace must be born too, which the child enters first
    let early = pid_mode == PidMode::Own && plan.ids.is_none() && request.restore.is_none();
    let flags = if early { clone::NEWPID } else { 0 };
    let (forked, born_in_cgroup) = fork_into(&plan.place, flags).map_err(|e| sys_failure(&e))?;
    let Forked::Parent(pid) = forked else {
        let mut handles = Handles::new(theirs.as_fd());
        handles.stdin = ends.stdin.as_ref().map(AsFd::as_fd);
        handles.stdout = ends.stdout.as_ref().map(AsFd::as_fd);
        handles.stderr = ends.stderr.as_ref().map(AsFd::as_fd);
        numbering.hand_to(&mut handles, sandbox);
        handles.shm = sandbox.shm.as_ref().map(SharedMount::borrow);
        handles.users = sandbox.users();
        if let Some(wish) = &request.restore {
            let upper = plan.overlay.as_ref().map(|o| o.upper.as_str()).unwrap_or_default();
            init::restore::run(&plan, &handles, born_in_cgroup, &note, &mut Criu::new(wish, upper));
        }
        init::run(&plan, &handles, born_in_cgroup, &note);
    };
    let hands_over = pid_mode == PidMode::Shared && request.restore.is_none();
    Ok(Child { pid, report: Ear::new(ours, pid, hands_over), pipes, note })
}

fn plan(request: &CreateContainer, sandbox: &Sandbox, pid: PidMode) -> Request {
    let cgroup = request.cgroup.clone().unwrap_or_default();
    Request {
        id: request.container_id.clone(),
        bundle: request.bundle.clone(),
        overlay: overlay(request),
        place: place(cgroup.place.as_ref()),
        devices_v1_dir: cgroup.devices_v1_dir,
        devices_v2_dir: cgroup.devices_v2_dir,
        log_path: request.log.as_ref().map(|l| l.path.clone()).unwrap_or_default(),
        terminal: request.terminal,
        filter: Filter { program: request.seccomp_bpf.clone(), flags: request.seccomp_flags },
        pid,
        shm: sandbox.shm.is_some(),
        ids: sandbox.users().map(|u| u.maps),
        relabel: relabel(request),
    }
}

/// The layers of a container's root; what they are labelled with, its spec says.
pub(crate) fn overlay(request: &CreateContainer) -> Option<Overlay> {
    let of = |o: podwright_protocol::message::Overlay| Overlay {
        lower: o.lower,
        upper: o.upper,
        work: o.work,
        options: o.options,
        label: String::new(),
    };
    request.overlay.clone().map(of)
}

/// The sources of its mounts that are given a SELinux context.
pub(crate) fn relabel(request: &CreateContainer) -> Option<Relabel> {
    request.relabel.clone().map(|r| Relabel {
        label: r.label,
        sources: r.sources,
        files: r.files,
        refused: r.refused,
        refused_trees: r.refused_trees,
    })
}

fn container(
    asker: Asker,
    request: &CreateContainer,
    child: Child,
    (external, hooks): (Option<External>, Option<Box<Hooks>>),
) -> Container {
    let log = request.log.clone().unwrap_or_default();
    Container {
        id: request.container_id.clone(),
        cgroup: request.cgroup.clone().unwrap_or_default(),
        exit_file: request.exit_file.clone(),
        kill_rest: request.kill_rest_on_exit,
        external,
        hooks,
        log: Log::new(log.max_line_bytes, SCRATCH),
        log_path: log.path,
        phase: Phase::Creating(asker),
        pid: child.pid,
        start_time: start_time(child.pid),
        created_at: clock::now(),
        started_at: 0,
        finished_at: 0,
        report: Some(child.report),
        terminal: request.terminal,
        has_stdin: request.stdin,
        stdin_once: request.stdin_once,
        held: Held::default(),
        bundle: request.bundle.clone(),
        revival: None,
        note: Some(child.note),
        outputs: child.pipes.outputs,
        stdin: child.pipes.stdin,
        ending: None,
        start_failed: false,
        stop: None,
        killed: false,
        oom: Oom::default(),
        exit: None,
        removers: Vec::new(),
        notes: Vec::new(),
    }
}

impl Monitor {
    /// Kills a container's processes: by its cgroup, and its main process in any case.
    pub(crate) fn kill_container(&mut self, key: u64) {
        self.end_creation_hooks(key);
        let outside = self.kill_external(key) || self.end_external_creation(key);
        let Some(container) = self.containers.get_mut(&key) else { return };
        container.killed = true;
        if container.pid != 0 && !outside {
            // It is our child and not reaped, so the pid is still its own; it may have ended.
            let _ = signal::send(container.pid, 9);
        }
        crate::kill::kill_cgroup(&container.cgroup);
    }
}
