//! Execs: processes beside a container's own. What ExecSync and Exec have in common.

use crate::clock;
use crate::container::{Outputs, Phase};
use crate::exec_cgroup::ExecCgroup;
use crate::exec_stream::Streamed;
use crate::exec_sync::Collected;
use crate::output::{Ends, Pipes, Wanted};
use crate::poller::{Output, Source};
use crate::reply::{Answer, done, failure, sys_failure};
use crate::sandbox::{Sandbox, place, step_failure};
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::ear::Ear;
use podwright_container::handles::Handles;
use podwright_container::join::{self, JoinRequest};
use podwright_container::place::{Place, fork_into};
use podwright_container::process;
use podwright_container::report;
use podwright_container::request::Filter;
use podwright_container::users::Users;
use podwright_external::exec::ExecRequest;
use podwright_protocol::message::Failure;
use podwright_protocol::message::failure::Kind;
use podwright_sys::clone::Forked;
use podwright_sys::errno::{SysError, SysResult};
use podwright_sys::signal::{self, Ending};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, OwnedFd};

pub(crate) const OPERATION: &str = "exec";

/// After a kill the answer waits so long for the end, in milliseconds.
const GIVE_UP_MS: u64 = 1000;

/// What an exec is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// ExecSync: its output is collected.
    Collect(Collected),
    /// Exec: its streams are taken over connections of their own.
    Stream(Streamed),
}

/// An exec under way.
#[derive(Debug)]
pub(crate) struct Exec {
    /// Its id, chosen by the daemon; may be empty.
    pub(crate) id: String,
    /// Which container's.
    pub(crate) container: u64,
    /// The process; the child that prepares it first; 0 after the end.
    pub(crate) pid: i32,
    /// The way to the child until the program runs.
    pub(crate) report: Option<Ear>,
    /// Outputs that are read here: collected, or dropped.
    pub(crate) outputs: Outputs,
    /// How it ended.
    pub(crate) ending: Option<Ending>,
    /// Why the program could not be run.
    pub(crate) failed: Option<Box<Failure>>,
    /// The monitor has killed it: nothing is waited for.
    pub(crate) killed: bool,
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// Its program's name.
    pub(crate) program: String,
    cgroup: ExecCgroup,
    /// Its pid inside a sandbox with pids of its own; 0 for none.
    inner: i32,
}

/// What both calls say of the process.
#[derive(Debug)]
pub(crate) struct Beginning<'a> {
    /// The container's id.
    pub(crate) container: &'a str,
    /// The exec's id.
    pub(crate) id: &'a str,
    /// The runtime-spec's process object as JSON.
    pub(crate) process: &'a str,
    /// Its seccomp filter.
    pub(crate) filter: Filter,
    /// The pipes it gets.
    pub(crate) wanted: Wanted,
    /// It gets a terminal instead of pipes.
    pub(crate) terminal: bool,
    /// The terminal's first rows and columns.
    pub(crate) size: Option<(u16, u16)>,
}

impl Monitor {
    /// Forks an exec's child. The exec's key, and the monitor's ends of its pipes, which nobody watches yet.
    pub(crate) fn begin_exec(&mut self, wanted: Beginning<'_>, purpose: Purpose) -> Result<(u64, Pipes), Box<Failure>> {
        let id = wanted.container;
        let refuse = |kind, text: &str| failure(kind, OPERATION, id, format!("container {id} {text}"));
        let container = self.container_key(id).ok_or_else(|| refuse(Kind::NotFound, "is not here"))?;
        let is_used = self.execs.values().any(|e| e.id == wanted.id) || self.attachment_key(wanted.id).is_some();
        if !wanted.id.is_empty() && is_used {
            let text = format!("exec {} exists already", wanted.id);
            return Err(failure(Kind::FailedPrecondition, OPERATION, wanted.id, text));
        }
        let key = self.key();
        let Some(found) = self.containers.get(&container).filter(|c| c.phase == Phase::Running && c.is_alive()) else {
            return Err(refuse(Kind::FailedPrecondition, "does not run"));
        };
        if crate::kill::is_frozen(&found.cgroup) {
            return Err(refuse(Kind::FailedPrecondition, "is paused"));
        }
        let (pipes, ends) = Pipes::make(wanted.wanted).map_err(|e| sys_failure(&e))?;
        let (ours, theirs) = report::pair().map_err(|e| step_failure(&e))?;
        if Self::is_short_of(&theirs) {
            return Err(failure(Kind::ResourceExhausted, OPERATION, id, "there are too many open descriptors"));
        }
        let cgroup = ExecCgroup::make(&found.cgroup, key);
        let outside = found.external.as_ref().map(|e| e.exec(key, wanted.process, cgroup.directory()));
        let mut at = place(found.cgroup.place.as_ref());
        if let Some(directory) = cgroup.directory() {
            at.unified_dir = directory.into();
        }
        let (terminal, size, filter) = (wanted.terminal, wanted.size, wanted.filter);
        let join = JoinRequest { process: wanted.process.into(), place: at, pid: found.pid, filter, terminal, size };
        self.watch_report(key, &ours).map_err(|e| sys_failure(&e)).inspect_err(|_| cgroup.remove())?;
        let users = self.sandbox.as_ref().and_then(Sandbox::users);
        let forked = fork_exec(&join, outside.as_ref(), users, &ends, &theirs);
        let pid = forked.inspect_err(|_| {
            self.poller.remove(&ours);
            cgroup.remove();
        })?;
        let exec = Exec {
            id: wanted.id.into(),
            container,
            pid,
            report: Some(Ear::new(ours, pid, outside.is_none())),
            outputs: Outputs::default(),
            ending: None,
            failed: None,
            killed: false,
            purpose,
            program: process::program_name(wanted.process),
            cgroup,
            inner: 0,
        };
        self.execs.insert(key, exec);
        Ok((key, pipes))
    }

    /// The program runs in this process.
    pub(crate) fn exec_process(&mut self, key: u64, pid: i32) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key) else { return Ok(()) };
        exec.pid = pid;
        if let Purpose::Stream(streamed) = &mut exec.purpose {
            streamed.pid = pid;
        }
        if exec.killed {
            self.signal_exec(key); // it was killed before the program began
        }
        self.take_stray(pid)
    }

    /// A step failed; the child ends next.
    pub(crate) fn exec_failed(&mut self, key: u64, why: Box<Failure>) {
        if let Some(exec) = self.execs.get_mut(&key) {
            exec.failed.get_or_insert(why);
        }
    }

    /// Reads one buffer's worth of an exec's output.
    pub(crate) fn exec_output(&mut self, key: u64, output: Output) -> SysResult<()> {
        match self.execs.get(&key).map(|e| &e.purpose) {
            Some(Purpose::Collect(_)) => self.collect_ready(key, output),
            Some(Purpose::Stream(_)) => self.drop_ready(key, output),
            None => Ok(()),
        }
    }

    /// The process has ended.
    pub(crate) fn exec_ended(&mut self, key: u64, ending: Ending) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key) else { return Ok(()) };
        exec.ending = Some(ending);
        exec.pid = 0;
        match exec.purpose {
            Purpose::Collect(_) => self.collected_ended(key),
            Purpose::Stream(_) => self.streamed_ended(key),
        }?;
        self.look_at_waiting()
    }

    /// The time for draining is over.
    pub(crate) fn exec_drained(&mut self, key: u64) -> SysResult<()> {
        match self.execs.get(&key).filter(|e| e.ending.is_some()).map(|e| &e.purpose) {
            Some(Purpose::Collect(_)) => self.collected_drained(key),
            Some(Purpose::Stream(_)) => self.streamed_drained(key),
            None => Ok(()),
        }
    }

    /// Kills what an exec has started; one that is not known has ended.
    pub(crate) fn cancel_exec(&mut self, id: &str) -> SysResult<Answer> {
        if id.is_empty() {
            return Ok(Err(failure(Kind::Invalid, "cancel an exec", "exec_id", "exec_id must not be empty")));
        }
        if let Some(key) = self.execs.iter().find(|(_, e)| e.id == id).map(|(key, _)| *key) {
            self.kill_exec(key)?;
        }
        Ok(done())
    }

    /// Kills everything that an exec has started. Its output is not waited for any more.
    pub(crate) fn kill_exec(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key) else { return Ok(()) };
        exec.killed = true;
        if exec.ending.is_some() {
            self.signal_exec(key); // descendants may live on
            return self.exec_drained(key);
        }
        self.signal_exec(key);
        self.timers.add(clock::deadline(GIVE_UP_MS), Due::ExecGiveUp(key));
        Ok(())
    }

    fn signal_exec(&mut self, key: u64) {
        let Some(exec) = self.execs.get(&key) else { return };
        let Some(container) = self.containers.get(&exec.container) else { return };
        exec.cgroup.kill(&container.cgroup, exec.pid);
        let (container, inner) = (exec.container, exec.inner);
        self.kill_inner(container, inner);
    }

    /// The program has this pid inside its sandbox.
    pub(crate) fn exec_inner(&mut self, key: u64, pid: i32) {
        if let Some(exec) = self.execs.get_mut(&key) {
            exec.inner = pid;
        }
    }

    /// Takes an exec that has ended away, with all it has.
    pub(crate) fn remove_exec(&mut self, key: u64) -> Option<Exec> {
        self.close_report(key);
        let mut exec = self.execs.remove(&key)?;
        for output in [Output::Stdout, Output::Stderr] {
            if let Some(fd) = exec.outputs.take(output) {
                self.poller.remove(&fd);
            }
        }
        if !exec.cgroup.remove_or_empty(self.containers.get(&exec.container).map(|c| &c.cgroup)) {
            self.cgroups_to_remove.push(exec.cgroup.clone());
            self.timers.add(clock::deadline(100), Due::ExecCgroups);
        }
        Some(exec)
    }

    /// Stops reading an output here.
    pub(crate) fn close_exec_output(&mut self, key: u64, output: Output) {
        if let Some(fd) = self.execs.get_mut(&key).and_then(|e| e.outputs.take(output)) {
            self.poller.remove(&fd);
        }
    }

    /// Begins to read an output here. Without room for watching it is closed.
    pub(crate) fn read_exec_output(&mut self, key: u64, output: Output, fd: OwnedFd) {
        let Some(exec) = self.execs.get_mut(&key) else { return };
        if self.poller.add(&fd, Source::Output(key, output)).is_ok() {
            exec.outputs.put(output, fd);
        }
    }

    /// Cgroups of execs that could not be removed at once: their processes were still ending.
    pub(crate) fn remove_exec_cgroups(&mut self) {
        self.cgroups_to_remove.retain(|cgroup| !cgroup.remove_or_empty(None));
        if !self.cgroups_to_remove.is_empty() {
            self.timers.add(clock::deadline(100), Due::ExecCgroups);
        }
    }

    /// The container has ended: its execs are ending too.
    pub(crate) fn end_execs_of(&mut self, container: u64) {
        let keys: Vec<u64> = self.execs.iter().filter(|(_, e)| e.container == container).map(|(key, _)| *key).collect();
        for key in keys {
            self.signal_exec(key);
        }
    }
}

impl Exec {
    /// The code of its end, 128+n for a signal; one that was given up counts as killed.
    pub(crate) fn exit_code(&self) -> i32 {
        match self.ending {
            Some(Ending::Code(code)) => code,
            Some(Ending::Signal(number)) => 128 + number,
            None => 137,
        }
    }
}

fn fork_exec(
    join: &JoinRequest,
    outside: Option<&ExecRequest>,
    users: Option<Users<'_>>,
    ends: &Ends,
    socket: &OwnedFd,
) -> Result<i32, Box<Failure>> {
    // The container's process is our child and not reaped: the pid is still its own.
    let target = Pid::from_raw(join.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let target = match target {
        Some(Ok(target)) => target,
        None | Some(Err(Errno::SRCH)) => {
            return Err(failure(Kind::FailedPrecondition, OPERATION, "", "the container's process has ended"));
        }
        Some(Err(e)) => {
            let error = SysError::new(OPERATION, "pidfd_open", e.raw_os_error(), join.pid.to_string());
            return Err(sys_failure(&error));
        }
    };
    // a runtime is not run in the container's cgroup: it puts the command there
    let at = if outside.is_some() { &Place::default() } else { &join.place };
    let (forked, born_in_cgroup) = fork_into(at, 0).map_err(|e| sys_failure(&e))?;
    let Forked::Parent(pid) = forked else {
        let mut handles = Handles::new(socket.as_fd());
        handles.stdin = ends.stdin.as_ref().map(AsFd::as_fd);
        handles.stdout = ends.stdout.as_ref().map(AsFd::as_fd);
        handles.stderr = ends.stderr.as_ref().map(AsFd::as_fd);
        handles.target = Some(target.as_fd());
        handles.users = users;
        if let Some(request) = outside {
            podwright_external::exec::run(request, &handles);
        }
        join::run(join, &handles, born_in_cgroup);
    };
    Ok(pid)
}

/// Kills a process and its group; it may have ended.
pub(crate) fn kill_group(pid: i32) {
    if pid > 0 {
        let _ = signal::send(-pid, 9);
        let _ = signal::send(pid, 9);
    }
}
