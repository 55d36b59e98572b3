//! The loop: one thread, one epoll, everything the monitor knows.

use crate::arguments::ServeOptions;
use crate::attach::Attachment;
use crate::checkpoint_wait::Waiting;
use crate::clock;
use crate::connection::Connection;
use crate::container::Container;
use crate::errand::{Errand, Stopped};
use crate::exec::Exec;
use crate::exec_cgroup::ExecCgroup;
use crate::external::RuntimeHelper;
use crate::hooks::HookRun;
use crate::oom_level::PodKills;
use crate::pair::Transit;
use crate::poller::{Poller, Ready, Source};
use crate::reopen::Reopen;
use crate::reply::{Answer, Asker};
use crate::sandbox::Sandbox;
use crate::stream::Stream;
use crate::timers::{Due, Timers};
use podwright_protocol::frame;
use podwright_protocol::message::{Event, Frame, Response, event, frame::Body, response};
use podwright_sys::buffer::Buffer;
use podwright_sys::errno::{SysError, SysResult};
use podwright_sys::signal::{self, Ending};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::process::Resource;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

/// One read takes at most this much: a pipe's usual size.
pub(crate) const SCRATCH: usize = 64 * 1024;

/// Pause after a connection could not be taken, in milliseconds.
const ACCEPT_AGAIN_MS: u64 = 200;

/// A connection that has not said hello or opened a stream by then is closed, in milliseconds.
const SILENT_MS: u64 = 10_000;

/// Descriptors that streams leave to everything else.
const SPARE_DESCRIPTORS: u64 = 64;

/// The scratch pages go back to the kernel after so long without use, in milliseconds.
const REST_AFTER_MS: u64 = 1000;

fn boot_id() -> SysResult<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).map_err(|e| SysError::from_io("read", "read", &e, path))?;
    Ok(text.trim().to_owned())
}

/// The monitor of one sandbox.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// The sandbox's id.
    pub(crate) id: String,
    /// Where it listens.
    pub(crate) socket_path: String,
    /// What is watched.
    pub(crate) poller: Poller,
    /// What will be done later.
    pub(crate) timers: Timers,
    /// The sandbox, once made.
    pub(crate) sandbox: Option<Sandbox>,
    /// Where bytes are read into; no child has it.
    pub(crate) scratch: Buffer,
    /// Where log records are put together.
    pub(crate) room: Buffer,
    /// Containers by key.
    pub(crate) containers: BTreeMap<u64, Container>,
    /// Execs by key.
    pub(crate) execs: BTreeMap<u64, Exec>,
    /// Streams by key.
    pub(crate) streams: BTreeMap<u64, Stream>,
    /// Attachments by key.
    pub(crate) attachments: BTreeMap<u64, Attachment>,
    /// A pipe that no stream uses now.
    pub(crate) spare_pipe: Option<Transit>,
    /// Reopenings of logs by key.
    pub(crate) reopens: BTreeMap<u64, Reopen>,
    /// Helpers at work on a runtime's containers, by key.
    pub(crate) helpers: BTreeMap<u64, RuntimeHelper>,
    /// Hooks at work, by key.
    pub(crate) hook_runs: BTreeMap<u64, HookRun>,
    /// What the OOM killer did in the pod.
    pub(crate) pod_kills: PodKills,
    /// When hooks end, as the pod does.
    pub(crate) hooks_end: Option<i64>,
    /// Helper processes by key.
    pub(crate) errands: BTreeMap<u64, Errand>,
    /// A checkpoint that waits for commands to end.
    pub(crate) waiting_checkpoint: Option<Waiting>,
    /// Processes that ended before it was known whose they are.
    pub(crate) strays: Vec<(i32, Ending)>,
    /// Cgroups of execs whose processes were still ending.
    pub(crate) cgroups_to_remove: Vec<ExecCgroup>,
    /// Who waits for the shutdown, once that has begun.
    pub(crate) ending: Option<Vec<Asker>>,
    /// The kernel's boot id.
    pub(crate) boot_id: String,
    buffers_rest: bool,
    listener: OwnedFd,
    signals: OwnedFd,
    connections: BTreeMap<u64, Connection>,
    next_key: u64,
    ended: bool,
}

impl Monitor {
    /// Everything ready to run; `listener` listens already.
    pub(crate) fn new(options: &ServeOptions, listener: OwnedFd) -> SysResult<Self> {
        let signals = signal::child_and_term_fd()?;
        let poller = Poller::new()?;
        poller.add(&listener, Source::Listener)?;
        poller.add(&signals, Source::Signals)?;
        Ok(Self {
            id: options.id.clone(),
            socket_path: options.socket.clone(),
            poller,
            timers: Timers::default(),
            sandbox: None,
            scratch: Buffer::new(SCRATCH)?,
            room: Buffer::new(SCRATCH)?,
            containers: BTreeMap::new(),
            execs: BTreeMap::new(),
            streams: BTreeMap::new(),
            attachments: BTreeMap::new(),
            spare_pipe: None,
            reopens: BTreeMap::new(),
            helpers: BTreeMap::new(),
            hook_runs: BTreeMap::new(),
            pod_kills: PodKills::default(),
            hooks_end: None,
            errands: BTreeMap::new(),
            waiting_checkpoint: None,
            strays: Vec::new(),
            cgroups_to_remove: Vec::new(),
            ending: None,
            boot_id: boot_id()?,
            buffers_rest: true,
            listener,
            signals,
            connections: BTreeMap::new(),
            next_key: 1,
            ended: false,
        })
    }

    /// Serves until it is told to end.
    pub(crate) fn run(mut self) -> SysResult<()> {
        while !self.ended {
            let timeout = self.timers.next().map(|at| at.saturating_sub(clock::boot()));
            for ready in self.poller.wait(timeout)? {
                self.handle(ready)?;
            }
            while let Some(due) = self.timers.take_due(clock::boot()) {
                self.handle_due(due)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, ready: Ready) -> SysResult<()> {
        match ready.source {
            Source::Listener => self.accept(),
            Source::Signals => self.take_signals(),
            Source::Connection(key) => self.serve_connection(key, ready),
            Source::Stream(key) | Source::Far(key) => self.stream_ready(key, ready),
            Source::Report(key) => self.report_ready(key),
            Source::Revival(key) => self.revival_ready(key),
            Source::Errand(key) => self.errand_ready(key),
            Source::Log(key) => self.log_ready(key),
            Source::Output(key, output) => self.output_ready(key, output),
            Source::Oom(key) => {
                self.oom_ready(key);
                Ok(())
            }
        }
    }

    fn handle_due(&mut self, due: Due) -> SysResult<()> {
        match due {
            Due::Rest => self.rest(),
            Due::Accept => return self.poller.add(&self.listener, Source::Listener),
            Due::Silent(key) => return self.close_silent(key),
            Due::CreateDeadline(key) => return self.create_deadline(key),
            Due::StartFailed(key) => self.start_failed(key),
            Due::StopDeadline(key) => return self.stop_deadline(key),
            Due::KillAgain(key) => self.kill_again(key),
            Due::Stuck(key) => return self.stop_stuck(key),
            Due::DrainEnd(key) => return self.drain_end(key),
            Due::LogEnd(key) => return self.log_end(key),
            Due::ExitFile(key) => self.write_exit_file(key),
            Due::OomCount(key) => return self.oom_count(key),
            Due::ExecDeadline(key) => return self.exec_deadline(key),
            Due::ExecStart(key) => return self.exec_start_deadline(key),
            Due::ExecDrained(key) => return self.exec_drained(key),
            Due::ExecGiveUp(key) => return self.exec_give_up(key),
            Due::Untaken(key) => return self.drop_untaken(key),
            Due::Slow(key) => return self.look_at_reader(key),
            Due::Hold(key) => self.hold_outputs(key),
            Due::ConnectDeadline(key) => return self.connect_deadline(key),
            Due::Linger(key) => self.close_stream(key),
            Due::ExecCgroups => self.remove_exec_cgroups(),
            Due::ReopenDeadline(key) => return self.reopen_deadline(key),
            Due::ErrandDeadline(key) => self.stop_errand(key, Stopped::Deadline),
            Due::ErrandKill(key) => return self.kill_errand(key),
            Due::CheckpointWait => return self.look_at_waiting(),
            Due::HooksLimit(key) => self.end_hooks(key),
            Due::HooksKill(key) => self.kill_hooks(key),
            Due::HelperKill(key) => self.kill_helper(key),
            Due::ShutdownLimit => return self.shutdown_limit(),
        }
        Ok(())
    }

    fn rest(&mut self) {
        self.scratch.rest();
        self.room.rest();
        self.spare_pipe = None;
        self.buffers_rest = true;
    }

    /// A key that was never used before.
    pub(crate) fn key(&mut self) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// To be called when the buffers were used: their pages go back after a while.
    pub(crate) fn scratch_used(&mut self) {
        if self.buffers_rest {
            self.buffers_rest = false;
            self.timers.add(clock::deadline(REST_AFTER_MS), Due::Rest);
        }
    }

    /// The loop ends after this turn.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    fn accept(&mut self) -> SysResult<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => {
                    let key = self.key();
                    // without room for watching it the caller sees its end
                    if self.poller.add(&socket, Source::Connection(key)).is_ok() {
                        self.connections.insert(key, Connection::new(socket));
                        self.timers.add(clock::deadline(SILENT_MS), Due::Silent(key));
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => {
                    // too many descriptors: callers wait in the queue until some are free again
                    self.poller.remove(&self.listener);
                    self.timers.add(clock::deadline(ACCEPT_AGAIN_MS), Due::Accept);
                    return Ok(());
                }
            }
        }
    }

    fn take_signals(&mut self) -> SysResult<()> {
        let mut terminate = false;
        while let Some(number) = signal::read_fd(&self.signals)? {
            terminate |= number == signal::TERMINATE;
        }
        self.reap()?;
        self.look_for_end()?;
        if terminate { self.terminate() } else { Ok(()) }
    }

    fn serve_connection(&mut self, key: u64, ready: Ready) -> SysResult<()> {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        let mut open = !ready.writable || connection.flush().is_ok();
        let mut frames = Vec::new();
        if open && ready.readable {
            match connection.receive(self.scratch.bytes()) {
                Ok(received) => frames = received,
                Err(_) => open = false,
            }
            self.scratch_used();
        }
        if !open {
            return self.close(key);
        }
        self.watch_writing(key)?;
        for frame in frames {
            if let Some(Body::Request(request)) = frame.body {
                self.call(Asker { connection: key, id: request.id }, request)?;
            }
        }
        Ok(())
    }

    fn watch_writing(&mut self, key: u64) -> SysResult<()> {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        let wanted = connection.has_queued();
        if wanted != connection.writing {
            connection.writing = wanted;
            self.poller.set_writing(&connection.socket, Source::Connection(key), wanted)?;
        }
        Ok(())
    }

    fn close(&mut self, key: u64) -> SysResult<()> {
        drop(self.detach_connection(key));
        self.forget_waiting(key);
        self.stop_errands_of(key);
        self.lose_execs_of(key)?;
        self.detach_all_of(key)
    }

    fn close_silent(&mut self, key: u64) -> SysResult<()> {
        if self.connections.get(&key).is_some_and(|c| !c.greeted) { self.close(key) } else { Ok(()) }
    }

    /// Takes the socket of a connection; no more calls come over it.
    pub(crate) fn detach_connection(&mut self, key: u64) -> Option<OwnedFd> {
        let connection = self.connections.remove(&key)?;
        self.poller.remove(&connection.socket);
        Some(connection.socket)
    }

    /// Whether so many descriptors are open that streams and execs have to be refused. The kernel gives the lowest free
    /// number, so a new descriptor's number says how many there are.
    pub(crate) fn is_short_of(newest: &OwnedFd) -> bool {
        let number = u64::try_from(newest.as_raw_fd()).unwrap_or(u64::MAX);
        let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        number.saturating_add(SPARE_DESCRIPTORS) > limit
    }

    fn send(&mut self, key: u64, bytes: Vec<u8>) -> SysResult<()> {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        if connection.send(bytes).is_err() {
            return self.close(key);
        }
        self.watch_writing(key)
    }

    /// Marks the connection as one that gets events.
    pub(crate) fn greet(&mut self, key: u64) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.greeted = true;
        }
    }

    /// Whether the connection has said hello.
    pub(crate) fn has_greeted(&self, key: u64) -> bool {
        self.connections.get(&key).is_some_and(|c| c.greeted)
    }

    /// Sends an answer; one that nobody waits for any more is dropped.
    pub(crate) fn answer(&mut self, asker: Asker, answer: Answer) -> SysResult<()> {
        let result = answer.unwrap_or_else(|failure| response::Result::Failure(*failure));
        let response = Response { id: asker.id, result: Some(result) };
        match frame::encode(&Frame { body: Some(Body::Response(response)) }) {
            Ok(bytes) => self.send(asker.connection, bytes),
            Err(error) => {
                let kind = podwright_protocol::message::failure::Kind::ResourceExhausted;
                self.answer(asker, Err(crate::reply::failure(kind, "answer", "", error.to_string())))
            }
        }
    }

    /// Pushes an event to every connection that has said hello.
    pub(crate) fn push(&mut self, event: event::Event) -> SysResult<()> {
        let Ok(bytes) = frame::encode(&Frame { body: Some(Body::Event(Event { event: Some(event) })) }) else {
            return Ok(());
        };
        let greeted: Vec<u64> = self.connections.iter().filter(|(_, c)| c.greeted).map(|(key, _)| *key).collect();
        for key in greeted {
            self.send(key, bytes.clone())?;
        }
        Ok(())
    }
}
