//! ExecSync: an exec whose output is collected and bounded, its time limit kept here.

use crate::clock;
use crate::exec::{Beginning, Exec, Purpose};
use crate::output::{Got, Wanted, read};
use crate::poller::Output;
use crate::reply::Asker;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::request::Filter;
use podwright_protocol::message::{ExecSync, ExecSyncReply, response};
use podwright_sys::errno::SysResult;

/// The most that is kept of an exec's output: with it the answer still is one frame.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// What has been collected.
#[derive(Debug)]
pub(crate) struct Collected {
    /// Who waits; none when answered already.
    asker: Option<Asker>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    room: usize,
    truncated: bool,
    timed_out: bool,
    drain_ms: u64,
}

impl Collected {
    fn new(asker: Asker, request: &ExecSync) -> Self {
        let wanted = usize::try_from(request.max_output_bytes).unwrap_or(MAX_OUTPUT);
        Self {
            asker: Some(asker),
            stdout: Vec::new(),
            stderr: Vec::new(),
            room: if wanted == 0 { MAX_OUTPUT } else { wanted.min(MAX_OUTPUT) },
            truncated: false,
            timed_out: false,
            drain_ms: request.drain_ms.into(),
        }
    }

    fn keep(&mut self, output: Output, bytes: &[u8]) {
        let kept = bytes.len().min(self.room);
        self.room -= kept;
        self.truncated |= kept < bytes.len();
        let bytes = bytes.get(..kept).unwrap_or_default();
        match output {
            Output::Stdout => self.stdout.extend_from_slice(bytes),
            Output::Stderr => self.stderr.extend_from_slice(bytes),
        }
    }

    fn reply(self, exit_code: i32) -> ExecSyncReply {
        let Self { stdout, stderr, timed_out, truncated, .. } = self;
        ExecSyncReply { exit_code, stdout, stderr, timed_out, truncated }
    }
}

impl Monitor {
    /// Begins an exec; the answer comes at its end.
    pub(crate) fn exec_sync(&mut self, asker: Asker, request: &ExecSync) -> SysResult<()> {
        let beginning = Beginning {
            container: &request.container_id,
            id: &request.exec_id,
            process: &request.process,
            filter: Filter { program: request.seccomp_bpf.clone(), flags: request.seccomp_flags },
            wanted: Wanted { stdin: false, stdout: true, stderr: true },
            terminal: false,
            size: None,
        };
        let (key, pipes) = match self.begin_exec(beginning, Purpose::Collect(Collected::new(asker, request))) {
            Ok(begun) => begun,
            Err(failure) => return self.answer(asker, Err(failure)),
        };
        for (output, fd) in [(Output::Stdout, pipes.outputs.stdout), (Output::Stderr, pipes.outputs.stderr)] {
            if let Some(fd) = fd {
                self.read_exec_output(key, output, fd);
            }
        }
        if request.timeout_ms > 0 {
            self.timers.add(clock::deadline(request.timeout_ms), Due::ExecDeadline(key));
        }
        Ok(())
    }

    fn collected(&mut self, key: u64) -> Option<&mut Collected> {
        match &mut self.execs.get_mut(&key)?.purpose {
            Purpose::Collect(collected) => Some(collected),
            Purpose::Stream(_) => None,
        }
    }

    /// Reads one buffer's worth.
    pub(crate) fn collect_ready(&mut self, key: u64, output: Output) -> SysResult<()> {
        if self.collect(key, output) == Some(0) { self.finish_if_collected(key) } else { Ok(()) }
    }

    /// How many bytes came: 0 at the end of the output, none when there is nothing now.
    fn collect(&mut self, key: u64, output: Output) -> Option<usize> {
        let Some(Exec { outputs, purpose: Purpose::Collect(collected), .. }) = self.execs.get_mut(&key) else {
            return Some(0);
        };
        let Some(fd) = outputs.get(output) else { return Some(0) };
        let buffer = self.scratch.bytes();
        match read(fd, buffer) {
            Got::Nothing => None,
            Got::Bytes(count) => {
                collected.keep(output, buffer.get(..count).unwrap_or_default());
                self.scratch_used();
                Some(count)
            }
            Got::End => {
                self.close_exec_output(key, output);
                Some(0)
            }
        }
    }

    /// The process has ended. Descendants may hold its output open: they get `drain_ms`.
    pub(crate) fn collected_ended(&mut self, key: u64) -> SysResult<()> {
        let at_once = self.execs.get(&key).is_some_and(|e| e.failed.is_some() || e.killed);
        let wait = if at_once { 0 } else { self.collected(key).map_or(0, |c| c.drain_ms) };
        self.timers.add(clock::deadline(wait), Due::ExecDrained(key));
        self.finish_if_collected(key)
    }

    fn finish_if_collected(&mut self, key: u64) -> SysResult<()> {
        let done = self.execs.get(&key).is_some_and(|e| e.ending.is_some() && e.outputs.are_closed());
        if done { self.finish_collected(key) } else { Ok(()) }
    }

    /// The time for draining is over: what is in the pipes now is the last of it.
    pub(crate) fn collected_drained(&mut self, key: u64) -> SysResult<()> {
        for output in [Output::Stdout, Output::Stderr] {
            for _ in 0..64 {
                if self.collect(key, output).is_none_or(|count| count == 0) {
                    break;
                }
            }
            self.close_exec_output(key, output);
        }
        self.finish_collected(key)
    }

    /// The time limit: everything the exec has started is killed.
    pub(crate) fn exec_deadline(&mut self, key: u64) -> SysResult<()> {
        let Some(collected) = self.collected(key).filter(|c| c.asker.is_some()) else { return Ok(()) };
        collected.timed_out = true;
        self.kill_exec(key)
    }

    /// Killed and still not ended: the answer does not wait for that.
    pub(crate) fn exec_give_up(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key).filter(|e| e.ending.is_none()) else { return Ok(()) };
        let exit_code = exec.exit_code();
        let Purpose::Collect(collected) = &mut exec.purpose else { return Ok(()) };
        let Some(asker) = collected.asker.take() else { return Ok(()) };
        let reply = ExecSyncReply {
            exit_code,
            stdout: std::mem::take(&mut collected.stdout),
            stderr: std::mem::take(&mut collected.stderr),
            timed_out: collected.timed_out,
            truncated: collected.truncated,
        };
        collected.room = 0;
        self.answer(asker, Ok(response::Result::ExecSync(reply)))
    }

    fn finish_collected(&mut self, key: u64) -> SysResult<()> {
        let Some(mut exec) = self.remove_exec(key) else { return Ok(()) };
        let (failed, exit_code) = (exec.failed.take(), exec.exit_code());
        let Purpose::Collect(collected) = exec.purpose else { return Ok(()) };
        let Some(asker) = collected.asker else { return Ok(()) };
        match failed.filter(|_| !exec.killed) {
            Some(why) => self.answer(asker, Err(why)),
            None => self.answer(asker, Ok(response::Result::ExecSync(collected.reply(exit_code)))),
        }
    }
}
