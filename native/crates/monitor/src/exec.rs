//! ExecSync: a process beside the container's own, its output collected and bounded, its time
//! limit kept here.

use crate::clock;
use crate::container::{Outputs, Phase};
use crate::exec_cgroup::ExecCgroup;
use crate::output::{Got, Pipes, read};
use crate::poller::{Output, Source};
use crate::reply::{Asker, failure, sys_failure};
use crate::sandbox::{place, step_failure};
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::handles::Handles;
use podwright_container::join::{self, JoinRequest};
use podwright_container::place::fork_into;
use podwright_container::report;
use podwright_container::request::Filter;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{ExecSync, ExecSyncReply, Failure, response};
use podwright_sys::clone::Forked;
use podwright_sys::errno::SysResult;
use podwright_sys::signal::{self, Ending};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::{AsFd, OwnedFd};

const OPERATION: &str = "exec";

/// The most that is kept of an exec's output: with it the answer still is one frame.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// After a kill at the time limit the answer waits so long for the end, in milliseconds.
const GIVE_UP_MS: u64 = 1000;

/// An exec under way.
#[derive(Debug)]
pub(crate) struct Exec {
    /// Which container's.
    container: u64,
    /// Who waits; none when answered already.
    asker: Option<Asker>,
    /// The process; the child that prepares it first.
    pub(crate) pid: i32,
    /// The way to the child until the program runs.
    pub(crate) report: Option<OwnedFd>,
    outputs: Outputs,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    room: usize,
    truncated: bool,
    timed_out: bool,
    drain_ms: u64,
    ending: Option<Ending>,
    failed: Option<Box<Failure>>,
    cgroup: ExecCgroup,
}

impl Monitor {
    /// Begins an exec; the answer comes at its end.
    pub(crate) fn exec_sync(&mut self, asker: Asker, request: &ExecSync) -> SysResult<()> {
        match self.begin_exec(asker, request) {
            Ok(()) => Ok(()),
            Err(failure) => self.answer(asker, Err(failure)),
        }
    }

    fn begin_exec(&mut self, asker: Asker, request: &ExecSync) -> Result<(), Box<Failure>> {
        let id = &request.container_id;
        let refuse = |kind, text: &str| failure(kind, OPERATION, id, format!("container {id} {text}"));
        let container = self.container_key(id).ok_or_else(|| refuse(Kind::NotFound, "is not here"))?;
        let key = self.key();
        let Some(found) = self.containers.get(&container).filter(|c| c.phase == Phase::Running && c.is_alive()) else {
            return Err(refuse(Kind::FailedPrecondition, "does not run"));
        };
        let cgroup = ExecCgroup::make(&found.cgroup, key);
        let mut at = place(found.cgroup.place.as_ref());
        if let Some(directory) = cgroup.directory() {
            at.unified_dir = directory.into();
        }
        let filter = Filter { program: request.seccomp_bpf.clone(), flags: request.seccomp_flags };
        let join = JoinRequest { process: request.process.clone(), place: at, pid: found.pid, filter };
        let (pid, report, pipes) = fork_exec(&join).inspect_err(|_| cgroup.remove())?;
        let watched = self
            .watch_report(key, &report)
            .and_then(|()| {
                pipes.stdout.iter().try_for_each(|f| self.poller.add(f, Source::Output(key, Output::Stdout)))
            })
            .and_then(|()| {
                pipes.stderr.iter().try_for_each(|f| self.poller.add(f, Source::Output(key, Output::Stderr)))
            });
        watched.map_err(|e| sys_failure(&e))?;
        if request.timeout_ms > 0 {
            self.timers.add(clock::deadline(request.timeout_ms), Due::ExecDeadline(key));
        }
        let wanted = usize::try_from(request.max_output_bytes).unwrap_or(MAX_OUTPUT);
        self.execs.insert(
            key,
            Exec {
                container,
                asker: Some(asker),
                pid,
                report: Some(report),
                outputs: pipes,
                stdout: Vec::new(),
                stderr: Vec::new(),
                room: if wanted == 0 { MAX_OUTPUT } else { wanted.min(MAX_OUTPUT) },
                truncated: false,
                timed_out: false,
                drain_ms: request.drain_ms.into(),
                ending: None,
                failed: None,
                cgroup,
            },
        );
        Ok(())
    }

    /// The program runs in this process.
    pub(crate) fn exec_process(&mut self, key: u64, pid: i32) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key) else { return Ok(()) };
        exec.pid = pid;
        if exec.timed_out {
            self.kill_exec(key); // the limit was over before the program began
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
        if self.read_exec(key, output) { self.finish_exec_if_drained(key) } else { Ok(()) }
    }

    /// True at the end of the output.
    fn read_exec(&mut self, key: u64, output: Output) -> bool {
        let Some(exec) = self.execs.get_mut(&key) else { return true };
        let Some(fd) = exec.outputs.get(output) else { return true };
        let buffer = self.scratch.bytes();
        match read(fd, buffer) {
            Got::Nothing => false,
            Got::Bytes(count) => {
                let kept = count.min(exec.room);
                exec.room -= kept;
                exec.truncated |= kept < count;
                let bytes = buffer.get(..kept).unwrap_or_default();
                match output {
                    Output::Stdout => exec.stdout.extend_from_slice(bytes),
                    Output::Stderr => exec.stderr.extend_from_slice(bytes),
                }
                self.scratch_used();
                false
            }
            Got::End => {
                self.close_exec_output(key, output);
                true
            }
        }
    }

    fn close_exec_output(&mut self, key: u64, output: Output) {
        if let Some(fd) = self.execs.get_mut(&key).and_then(|e| e.outputs.take(output)) {
            self.poller.remove(&fd);
        }
    }

    /// The process has ended. Descendants may hold its output open: they get `drain_ms`.
    pub(crate) fn exec_ended(&mut self, key: u64, ending: Ending) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key) else { return Ok(()) };
        exec.ending = Some(ending);
        exec.pid = 0;
        let wait = if exec.failed.is_some() || exec.timed_out { 0 } else { exec.drain_ms };
        self.timers.add(clock::deadline(wait), Due::ExecDrained(key));
        self.finish_exec_if_drained(key)
    }

    fn finish_exec_if_drained(&mut self, key: u64) -> SysResult<()> {
        let done = self.execs.get(&key).is_some_and(|e| e.ending.is_some() && e.outputs.are_closed());
        if done { self.finish_exec(key) } else { Ok(()) }
    }

    /// The time for draining is over: what is in the pipes now is the last of it.
    pub(crate) fn exec_drained(&mut self, key: u64) -> SysResult<()> {
        if self.execs.get(&key).is_none_or(|e| e.ending.is_none()) {
            return Ok(());
        }
        for output in [Output::Stdout, Output::Stderr] {
            for _ in 0..64 {
                let before = self.execs.get(&key).map_or(0, |e| e.stdout.len() + e.stderr.len());
                if self.read_exec(key, output) {
                    break;
                }
                if self.execs.get(&key).is_none_or(|e| e.stdout.len() + e.stderr.len() == before) {
                    break;
                }
            }
            self.close_exec_output(key, output);
        }
        self.finish_exec(key)
    }

    /// The time limit: everything the exec has started is killed.
    pub(crate) fn exec_deadline(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key).filter(|e| e.asker.is_some()) else { return Ok(()) };
        exec.timed_out = true;
        if exec.ending.is_some() {
            return self.exec_drained(key);
        }
        self.kill_exec(key);
        self.timers.add(clock::deadline(GIVE_UP_MS), Due::ExecGiveUp(key));
        Ok(())
    }

    fn kill_exec(&mut self, key: u64) {
        let Some(exec) = self.execs.get(&key) else { return };
        let Some(container) = self.containers.get(&exec.container) else { return };
        exec.cgroup.kill(&container.cgroup, exec.pid);
    }

    /// Killed and still not ended: the answer does not wait for that.
    pub(crate) fn exec_give_up(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key).filter(|e| e.ending.is_none()) else { return Ok(()) };
        match exec.asker.take() {
            Some(asker) => {
                let reply = exec.reply();
                self.answer(asker, Ok(response::Result::ExecSync(reply)))
            }
            None => Ok(()),
        }
    }

    fn finish_exec(&mut self, key: u64) -> SysResult<()> {
        self.close_report(key);
        let Some(mut exec) = self.execs.remove(&key) else { return Ok(()) };
        for output in [Output::Stdout, Output::Stderr] {
            if let Some(fd) = exec.outputs.take(output) {
                self.poller.remove(&fd);
            }
        }
        if !exec.cgroup.remove_or_empty(self.containers.get(&exec.container).map(|c| &c.cgroup)) {
            self.cgroups_to_remove.push(exec.cgroup.clone());
            self.timers.add(clock::deadline(100), Due::ExecCgroups);
        }
        let Some(asker) = exec.asker else { return Ok(()) };
        match exec.failed.take().filter(|_| !exec.timed_out) {
            Some(why) => self.answer(asker, Err(why)),
            None => {
                let reply = exec.reply();
                self.answer(asker, Ok(response::Result::ExecSync(reply)))
            }
        }
    }

    /// Cgroups of execs that could not be removed at once: their processes were still ending.
    pub(crate) fn remove_exec_cgroups(&mut self) {
        self.cgroups_to_remove.retain(|cgroup| !cgroup.remove_or_empty(None));
        if !self.cgroups_to_remove.is_empty() {
            self.timers.add(clock::deadline(100), Due::ExecCgroups);
        }
    }

    /// The container has ended: its execs are ending too, and wait for nothing more.
    pub(crate) fn end_execs_of(&mut self, container: u64) -> SysResult<()> {
        let keys: Vec<u64> = self.execs.iter().filter(|(_, e)| e.container == container).map(|(key, _)| *key).collect();
        for key in keys {
            self.kill_exec(key);
        }
        Ok(())
    }
}

impl Exec {
    fn reply(&mut self) -> ExecSyncReply {
        let exit_code = match self.ending {
            Some(Ending::Code(code)) => code,
            Some(Ending::Signal(number)) => 128 + number,
            None => 137,
        };
        ExecSyncReply {
            exit_code,
            stdout: std::mem::take(&mut self.stdout),
            stderr: std::mem::take(&mut self.stderr),
            timed_out: self.timed_out,
            truncated: self.truncated,
        }
    }
}

fn fork_exec(join: &JoinRequest) -> Result<(i32, OwnedFd, Outputs), Box<Failure>> {
    let (ours, theirs) = report::pair().map_err(|e| step_failure(&e))?;
    let (pipes, ends) = Pipes::make(false, false).map_err(|e| sys_failure(&e))?;
    // The container's process is our child and not reaped: the pid is still its own.
    let target = Pid::from_raw(join.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let Some(Ok(target)) = target else {
        return Err(failure(Kind::FailedPrecondition, OPERATION, "", "the container's process has ended"));
    };
    let (forked, born_in_cgroup) = fork_into(&join.place, 0).map_err(|e| sys_failure(&e))?;
    let Forked::Parent(pid) = forked else {
        let mut handles = Handles::new(theirs.as_fd());
        handles.stdout = ends.stdout.as_ref().map(AsFd::as_fd);
        handles.stderr = ends.stderr.as_ref().map(AsFd::as_fd);
        handles.target = Some(target.as_fd());
        join::run(join, &handles, born_in_cgroup);
    };
    Ok((pid, ours, pipes.outputs))
}

/// Kills a process and its group; it may have ended.
pub(crate) fn kill_group(pid: i32) {
    if pid > 0 {
        let _ = signal::send(-pid, 9);
        let _ = signal::send(pid, 9);
    }
}
