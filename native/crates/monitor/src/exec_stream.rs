//! Exec: a command whose streams are taken over connections of their own. It belongs to the connection it came by; when
//! that closes, it lives on without its streams.

use crate::clock;
use crate::exec::{Beginning, Exec, OPERATION, Purpose};
use crate::output::{Got, Wanted, read, set_nonblocking};
use crate::poller::Output;
use crate::reply::{Asker, failure, sys_failure};
use crate::resize;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::request::Filter;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{self, ExecReply, Failure, WaitExec, WaitExecReply, response};
use podwright_sys::errno::SysResult;
use std::os::fd::{AsFd, OwnedFd};

/// How long descendants may hold the output open when the request does not say, in milliseconds.
const DRAIN_MS: u64 = 2000;

/// How long a command may take to start, in milliseconds.
const START_MS: u64 = 30_000;

/// A stream of an exec.
#[derive(Debug, Default)]
pub(crate) enum Side {
    /// It was not wanted, or has ended.
    #[default]
    Closed,
    /// Nobody has taken it yet.
    Waiting(OwnedFd),
    /// The stream with this key has it.
    Taken(u64),
}

/// An exec with streams.
#[derive(Debug)]
pub(crate) struct Streamed {
    /// Whose it is; none: that connection has closed.
    connection: Option<u64>,
    /// Who waits for the start.
    starter: Option<Asker>,
    /// The program's process, once it is known.
    pub(crate) pid: i32,
    stdin: Side,
    stdout: Side,
    stderr: Side,
    wanted: Wanted,
    /// The terminal's master, for its size.
    pub(crate) terminal: Option<OwnedFd>,
    has_terminal: bool,
    waiters: Vec<Asker>,
    drain_ms: u64,
    /// No more output is waited for.
    drained: bool,
}

impl Streamed {
    fn new(asker: Asker, request: &message::Exec) -> Self {
        Self {
            connection: Some(asker.connection),
            starter: Some(asker),
            pid: 0,
            stdin: Side::Closed,
            stdout: Side::Closed,
            stderr: Side::Closed,
            wanted: Wanted { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr },
            terminal: None,
            has_terminal: request.terminal,
            waiters: Vec::new(),
            drain_ms: DRAIN_MS,
            drained: false,
        }
    }

    fn output(&mut self, output: Output) -> &mut Side {
        match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        }
    }
}

/// What of a stream is to be taken.
pub(crate) enum Found {
    /// The pipe to standard input.
    Input(OwnedFd),
    /// The terminal, as standard input.
    TerminalInput(OwnedFd),
    /// The pipe from an output.
    Output(OwnedFd),
    /// The terminal, as output.
    TerminalOutput(OwnedFd),
}

impl Monitor {
    /// Begins a command; the answer comes when it runs.
    pub(crate) fn exec(&mut self, asker: Asker, request: &message::Exec) -> SysResult<()> {
        match self.begin_streamed(asker, request) {
            Ok(()) => Ok(()),
            Err(why) => self.answer(asker, Err(why)),
        }
    }

    fn begin_streamed(&mut self, asker: Asker, request: &message::Exec) -> Result<(), Box<Failure>> {
        let invalid = |text: &str| Err(failure(Kind::Invalid, OPERATION, &request.exec_id, text));
        if request.exec_id.is_empty() {
            return invalid("exec_id must not be empty");
        }
        if request.terminal && request.stderr {
            return invalid("with a terminal there is no stderr of its own");
        }
        let size = request.size.as_ref().map(resize::size).transpose()?;
        let id = &request.container_id;
        let container = self.container_key(id).and_then(|key| self.containers.get(&key));
        if container.is_some_and(|c| c.stop.is_some()) {
            let text = format!("container {id} is being stopped");
            return Err(failure(Kind::FailedPrecondition, OPERATION, id, text));
        }
        let piped = Wanted { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr };
        let beginning = Beginning {
            container: id,
            id: &request.exec_id,
            process: &request.process,
            filter: Filter { program: request.seccomp_bpf.clone(), flags: request.seccomp_flags },
            wanted: if request.terminal { Wanted::default() } else { piped },
            terminal: request.terminal,
            size,
        };
        let (key, pipes) = self.begin_exec(beginning, Purpose::Stream(Streamed::new(asker, request)))?;
        self.timers.add(clock::deadline(START_MS), Due::ExecStart(key));
        if let Some(streamed) = self.streamed(key) {
            let side = |fd: Option<OwnedFd>| fd.map_or(Side::Closed, Side::Waiting);
            streamed.stdin = side(pipes.stdin);
            streamed.stdout = side(pipes.outputs.stdout);
            streamed.stderr = side(pipes.outputs.stderr);
        }
        Ok(())
    }

    /// The streams of an exec.
    pub(crate) fn streamed(&mut self, key: u64) -> Option<&mut Streamed> {
        match &mut self.execs.get_mut(&key)?.purpose {
            Purpose::Stream(streamed) => Some(streamed),
            Purpose::Collect(_) => None,
        }
    }

    /// The terminal's master has come, before the program runs.
    pub(crate) fn exec_terminal(&mut self, key: u64, master: OwnedFd) -> SysResult<()> {
        if let Err(error) = self.set_exec_terminal(key, master) {
            self.exec_failed(key, sys_failure(&error));
            return self.kill_exec(key);
        }
        Ok(())
    }

    fn set_exec_terminal(&mut self, key: u64, master: OwnedFd) -> SysResult<()> {
        set_nonblocking(&master)?;
        let Some(streamed) = self.streamed(key) else { return Ok(()) };
        streamed.terminal = Some(copy_of(&master)?);
        if streamed.wanted.stdin && streamed.connection.is_some() {
            streamed.stdin = Side::Waiting(copy_of(&master)?);
        }
        if streamed.wanted.stdout && streamed.connection.is_some() {
            streamed.stdout = Side::Waiting(master);
        } else {
            self.read_exec_output(key, Output::Stdout, master);
        }
        Ok(())
    }

    /// Nobody who prepares the program has the report socket any more: it runs.
    pub(crate) fn exec_report_ended(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key).filter(|e| e.failed.is_none()) else { return Ok(()) };
        let pid = exec.pid;
        let Purpose::Stream(streamed) = &mut exec.purpose else { return Ok(()) };
        if streamed.pid == 0 {
            return Ok(()); // the child that prepares it has ended; its end is seen next
        }
        match streamed.starter.take() {
            Some(starter) => self.answer(starter, Ok(response::Result::Exec(ExecReply { pid }))),
            None => Ok(()),
        }
    }

    /// The process has ended.
    pub(crate) fn streamed_ended(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key) else { return Ok(()) };
        let failed = exec.failed.take();
        let Purpose::Stream(streamed) = &mut exec.purpose else { return Ok(()) };
        let (pid, lost, waited_for) = (streamed.pid, streamed.connection.is_none(), !streamed.waiters.is_empty());
        let ended_early = failed.is_some() || pid == 0;
        if let Some(starter) = streamed.starter.take() {
            // A child of the same fork may hold the report socket longer than a short program lives.
            let answer = match failed {
                None if pid != 0 => Ok(response::Result::Exec(ExecReply { pid })),
                None => Err(failure(Kind::Internal, OPERATION, "", "its process ended before the command ran")),
                Some(why) => Err(why),
            };
            self.answer(starter, answer)?;
        }
        if ended_early {
            return self.forget_streamed(key);
        }
        if lost {
            self.timers.add(clock::deadline(DRAIN_MS), Due::ExecDrained(key));
        } else if waited_for {
            self.limit_drain(key);
        }
        self.settle_exec(key)
    }

    /// Registers who waits for the end.
    pub(crate) fn wait_exec(&mut self, asker: Asker, request: &WaitExec) -> SysResult<()> {
        let id = &request.exec_id;
        let Some(key) = self.streamed_key(id) else {
            let why = failure(Kind::NotFound, "wait for an exec", id, format!("exec {id} is not here"));
            return self.answer(asker, Err(why));
        };
        if let Some(streamed) = self.streamed(key) {
            streamed.waiters.push(asker);
            if request.drain_ms != 0 {
                streamed.drain_ms = request.drain_ms.into();
            }
        }
        if self.execs.get(&key).is_some_and(|e| e.ending.is_some()) {
            self.limit_drain(key); // from now: streams may be on their way to be taken
        }
        self.settle_exec(key)
    }

    /// The key of an exec with streams.
    pub(crate) fn streamed_key(&self, id: &str) -> Option<u64> {
        let is_it = |e: &Exec| e.id == id && matches!(e.purpose, Purpose::Stream(_));
        self.execs.iter().find(|(_, e)| is_it(e)).map(|(key, _)| *key)
    }

    /// So long descendants may still hold the output.
    fn limit_drain(&mut self, key: u64) {
        let Some(drain_ms) = self.streamed(key).map(|s| s.drain_ms) else { return };
        self.timers.add(clock::deadline(drain_ms), Due::ExecDrained(key));
    }

    /// The command should run by now: something in the container hangs (its working directory, its program).
    pub(crate) fn exec_start_deadline(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.execs.get_mut(&key) else { return Ok(()) };
        let (id, pid) = (exec.id.clone(), exec.pid);
        let Purpose::Stream(streamed) = &mut exec.purpose else { return Ok(()) };
        let Some(starter) = streamed.starter.take() else { return Ok(()) };
        self.kill_exec(key)?;
        let text = format!("the command of exec {id} does not start: process {pid} hangs");
        self.answer(starter, Err(failure(Kind::DeadlineExceeded, OPERATION, &id, text)))?;
        self.lose_exec(key)
    }

    /// Answers who waits, and forgets the exec, when nothing is left of it.
    fn settle_exec(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.execs.get(&key).filter(|e| e.ending.is_some() && e.outputs.are_closed()) else {
            return Ok(());
        };
        let exit_code = exec.exit_code();
        let Purpose::Stream(streamed) = &exec.purpose else { return Ok(()) };
        let closed = matches!((&streamed.stdout, &streamed.stderr), (Side::Closed, Side::Closed));
        // A stream that is about to be taken shall be found.
        if !closed || matches!(streamed.stdin, Side::Waiting(_)) {
            return Ok(());
        }
        let kept = streamed.connection.is_some() && self.containers.contains_key(&exec.container);
        if streamed.waiters.is_empty() && kept {
            return Ok(());
        }
        for waiter in streamed.waiters.clone() {
            self.answer(waiter, Ok(response::Result::WaitExec(WaitExecReply { exit_code })))?;
        }
        self.forget_streamed(key)
    }

    /// Nobody wants to know of an exec any more.
    fn forget_streamed(&mut self, key: u64) -> SysResult<()> {
        let Some(exec) = self.remove_exec(key) else { return Ok(()) };
        let Purpose::Stream(streamed) = exec.purpose else { return Ok(()) };
        for side in [streamed.stdin, streamed.stdout, streamed.stderr] {
            if let Side::Taken(stream) = side {
                self.close_stream(stream);
            }
        }
        Ok(())
    }

    /// No more output is waited for: streams end with what is in the pipes now, which a slow reader still gets.
    pub(crate) fn streamed_drained(&mut self, key: u64) -> SysResult<()> {
        for output in [Output::Stdout, Output::Stderr] {
            self.close_exec_output(key, output);
            let Some(streamed) = self.streamed(key) else { return Ok(()) };
            match std::mem::take(streamed.output(output)) {
                Side::Taken(stream) => {
                    *streamed.output(output) = Side::Taken(stream);
                    self.end_output_stream(stream)?;
                }
                Side::Waiting(_) | Side::Closed => {}
            }
        }
        if let Some(streamed) = self.streamed(key) {
            streamed.drained = true;
            if matches!(streamed.stdin, Side::Waiting(_)) {
                streamed.stdin = Side::Closed;
            }
        }
        self.settle_exec(key)
    }

    /// Gives a stream of an exec to the stream with key `stream`.
    pub(crate) fn take_exec_side(
        &mut self,
        key: u64,
        name: Option<Output>,
        stream: u64,
    ) -> Result<Found, Box<Failure>> {
        let refuse = |text: &str| failure(Kind::FailedPrecondition, "open a stream", "", text);
        let streamed = self.streamed(key).ok_or_else(|| refuse("the exec is not here"))?;
        if streamed.starter.is_some() {
            return Err(refuse("the command does not run yet"));
        }
        let terminal = streamed.has_terminal;
        let side = match name {
            None => &mut streamed.stdin,
            Some(output) => streamed.output(output),
        };
        match std::mem::replace(side, Side::Taken(stream)) {
            Side::Waiting(fd) => Ok(match (name, terminal) {
                (None, false) => Found::Input(fd),
                (None, true) => Found::TerminalInput(fd),
                (Some(_), false) => Found::Output(fd),
                (Some(_), true) => Found::TerminalOutput(fd),
            }),
            before => {
                *side = before;
                Err(refuse("the exec has no such stream, or it was taken already"))
            }
        }
    }

    /// Standard input has ended.
    pub(crate) fn exec_input_ended(&mut self, key: u64) -> SysResult<()> {
        let Some(streamed) = self.streamed(key) else { return Ok(()) };
        streamed.stdin = Side::Closed;
        self.settle_exec(key)
    }

    /// An output has been handed over whole.
    pub(crate) fn exec_output_ended(&mut self, key: u64, output: Output) -> SysResult<()> {
        let Some(streamed) = self.streamed(key) else { return Ok(()) };
        *streamed.output(output) = Side::Closed;
        self.settle_exec(key)
    }

    /// Who took an output has gone: it is read and dropped, so that the command is not held up.
    pub(crate) fn exec_output_lost(&mut self, key: u64, output: Output, fd: OwnedFd) -> SysResult<()> {
        let Some(streamed) = self.streamed(key) else { return Ok(()) };
        *streamed.output(output) = Side::Closed;
        if !streamed.drained {
            self.read_exec_output(key, output, fd);
        }
        self.settle_exec(key)
    }

    /// Reads output that nobody wants.
    pub(crate) fn drop_ready(&mut self, key: u64, output: Output) -> SysResult<()> {
        let Some(fd) = self.execs.get(&key).and_then(|e| e.outputs.get(output)) else { return Ok(()) };
        let got = read(fd, self.scratch.bytes());
        self.scratch_used();
        if matches!(got, Got::End) {
            self.close_exec_output(key, output);
            return self.settle_exec(key);
        }
        Ok(())
    }

    /// A connection has closed: its execs lose their streams and live on.
    pub(crate) fn lose_execs_of(&mut self, connection: u64) -> SysResult<()> {
        let of_it = |e: &Exec| matches!(&e.purpose, Purpose::Stream(s) if s.connection == Some(connection));
        let keys: Vec<u64> = self.execs.iter().filter(|(_, e)| of_it(e)).map(|(key, _)| *key).collect();
        for key in keys {
            self.lose_exec(key)?;
        }
        Ok(())
    }

    /// An exec loses its streams; it is forgotten when it has ended.
    fn lose_exec(&mut self, key: u64) -> SysResult<()> {
        let Some(streamed) = self.streamed(key) else { return Ok(()) };
        (streamed.connection, streamed.starter) = (None, None);
        streamed.waiters.clear();
        if let Side::Taken(stream) = std::mem::take(&mut streamed.stdin) {
            self.close_stream(stream);
        }
        for output in [Output::Stdout, Output::Stderr] {
            let side = self.streamed(key).map(|s| std::mem::take(s.output(output))).unwrap_or_default();
            let fd = match side {
                Side::Waiting(fd) => Some(fd),
                Side::Taken(stream) => self.take_output_back(stream),
                Side::Closed => None,
            };
            if let Some(fd) = fd {
                self.read_exec_output(key, output, fd);
            }
        }
        if self.execs.get(&key).is_some_and(|e| e.ending.is_some()) {
            self.timers.add(clock::deadline(DRAIN_MS), Due::ExecDrained(key));
        }
        self.settle_exec(key)
    }

    /// A container is forgotten: what is kept of its ended execs is too.
    pub(crate) fn forget_execs_of(&mut self, container: u64) -> SysResult<()> {
        let ended = |e: &Exec| e.container == container && e.ending.is_some();
        let keys: Vec<u64> = self.execs.iter().filter(|(_, e)| ended(e)).map(|(key, _)| *key).collect();
        for key in keys {
            self.exec_drained(key)?;
        }
        Ok(())
    }
}

fn copy_of(fd: &OwnedFd) -> SysResult<OwnedFd> {
    podwright_sys::clone::duplicate(fd.as_fd())
}
