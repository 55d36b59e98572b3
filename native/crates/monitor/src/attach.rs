//! Attach: readers and writers of a running container's streams, any number at once. The container's log is written
//! whatever they do; a reader that takes nothing for a while is detached.

use crate::clock;
use crate::container::Phase;
use crate::copied::{Copied, Goes, Kept};
use crate::flow;
use crate::input::Sink;
use crate::poller::{Output, Ready, Source};
use crate::reply::{Answer, Asker, failure};
use crate::server::Monitor;
use crate::stream::{OPERATION, Stream};
use crate::timers::Due;
use crate::watch::Watch;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{Attach, AttachReply, Failure, response};
use podwright_sys::errno::SysResult;
use std::os::fd::AsFd;

/// So long a reader may take nothing, and a stream may be left untaken, in milliseconds.
const PATIENCE_MS: u64 = 5000;

/// So long a reader may be behind without once catching up, in milliseconds: one that takes a byte now and then would
/// otherwise hold the container back for ever.
const BEHIND_MS: u64 = 20_000;

/// How often a slow reader is looked at, in milliseconds.
const LOOK_MS: u64 = 500;

/// When there was no room for watching an output, it is tried again after so long, in milliseconds.
const AGAIN_MS: u64 = 200;

/// A stream of an attachment.
#[derive(Debug, Default)]
enum Side {
    /// It was not wanted, or has ended.
    #[default]
    Closed,
    /// Nobody has taken it yet; what came meanwhile. So many bytes at first are from before.
    Waiting(Kept, usize),
    /// The stream with this key has it.
    Taken(u64),
}

/// An attachment.
#[derive(Debug)]
pub(crate) struct Attachment {
    id: String,
    container: u64,
    connection: u64,
    stdin: Side,
    stdout: Side,
    stderr: Side,
}

impl Attachment {
    fn side(&mut self, output: Option<Output>) -> &mut Side {
        match output {
            None => &mut self.stdin,
            Some(Output::Stdout) => &mut self.stdout,
            Some(Output::Stderr) => &mut self.stderr,
        }
    }

    fn output(&self, output: Output) -> &Side {
        match output {
            Output::Stdout => &self.stdout,
            Output::Stderr => &self.stderr,
        }
    }
}

impl Monitor {
    /// Prepares an attachment: from now on what the container writes is kept for it.
    pub(crate) fn attach(&mut self, asker: Asker, request: &Attach) -> SysResult<Answer> {
        let id = &request.container_id;
        let refuse = |kind, text: String| Ok(Err(failure(kind, "attach", id, text)));
        if request.attach_id.is_empty() {
            return refuse(Kind::Invalid, "attach_id must not be empty".into());
        }
        if self.attachment_key(&request.attach_id).is_some() || self.execs.values().any(|e| e.id == request.attach_id) {
            return refuse(Kind::FailedPrecondition, format!("{} exists already", request.attach_id));
        }
        let Some(container) = self.container_key(id) else {
            return refuse(Kind::NotFound, format!("container {id} is not here"));
        };
        let is_running = self.containers.get(&container).is_some_and(|c| c.phase == Phase::Running && c.is_alive());
        if !is_running {
            return refuse(Kind::FailedPrecondition, format!("container {id} does not run"));
        }
        let terminal = self.containers.get(&container).is_some_and(|c| c.terminal);
        let stdout = self.waiting(container, Output::Stdout, request.stdout)?;
        let stderr = self.waiting(container, Output::Stderr, request.stderr && !terminal)?;
        let stdin = if request.stdin { Side::Waiting(Kept::default(), 0) } else { Side::Closed };
        let (id, connection) = (request.attach_id.clone(), asker.connection);
        let key = self.key();
        self.attachments.insert(key, Attachment { id, container, connection, stdin, stdout, stderr });
        self.hold_outputs(container);
        self.timers.add(clock::deadline(PATIENCE_MS), Due::Untaken(key));
        Ok(Ok(response::Result::Attach(AttachReply { terminal })))
    }

    /// A side for an output. What was written before goes to the log only.
    fn waiting(&mut self, container: u64, output: Output, wanted: bool) -> SysResult<Side> {
        if !wanted {
            return Ok(Side::Closed);
        }
        if !self.is_held(container, output) {
            self.drain_container(container, output)?;
        }
        let fd = self.containers.get(&container).and_then(|c| c.outputs.get(output));
        let mut kept = Kept::default();
        kept.ended = fd.is_none();
        Ok(Side::Waiting(kept, fd.map_or(0, flow::readable)))
    }

    /// The key of an attachment.
    pub(crate) fn attachment_key(&self, id: &str) -> Option<u64> {
        self.attachments.iter().find(|(_, a)| a.id == id).map(|(key, _)| *key)
    }

    /// Gives a stream of an attachment to the stream with key `stream`: what is kept of it.
    pub(crate) fn take_attached(
        &mut self,
        key: u64,
        output: Option<Output>,
        stream: u64,
    ) -> Result<Kept, Box<Failure>> {
        let side = self.attachments.get_mut(&key).map(|a| a.side(output));
        match side.map(|s| (std::mem::take(s), s)) {
            Some((Side::Waiting(kept, _), side)) => {
                *side = Side::Taken(stream);
                Ok(kept)
            }
            Some((before, side)) => {
                *side = before;
                let text = "the attachment has no such stream, or it was taken already";
                Err(failure(Kind::FailedPrecondition, OPERATION, "", text))
            }
            None => Err(failure(Kind::NotFound, OPERATION, "", "the attachment is not here")),
        }
    }

    /// Takes an attachment's input: the far end of it. Input that nobody can take goes nowhere.
    pub(crate) fn take_attached_input(&mut self, key: u64, stream: u64) -> Result<Sink, Box<Failure>> {
        self.take_attached(key, None, stream)?;
        let container = self.attachments.get(&key).and_then(|a| self.containers.get(&a.container));
        let Some(container) = container.filter(|c| c.has_stdin && c.is_alive()) else { return Ok(Sink::Nowhere) };
        let fd = if container.terminal { &container.outputs.stdout } else { &container.stdin };
        let Some(fd) = fd else { return Ok(Sink::Nowhere) };
        let fd = podwright_sys::clone::duplicate(fd.as_fd()).map_err(|e| crate::reply::sys_failure(&e))?;
        let watch = Watch::new(fd, Source::Far(stream));
        Ok(if container.terminal { Sink::Terminal(watch) } else { Sink::Pipe(watch) })
    }

    /// Gives what was read of a container's output (`count` bytes of the scratch buffer) to its readers.
    pub(crate) fn copy_output(&mut self, container: u64, output: Output, count: usize) -> SysResult<()> {
        if self.attachments.is_empty() {
            return Ok(());
        }
        let Self { attachments, streams, scratch, poller, .. } = self;
        let bytes = scratch.bytes().get(..count).unwrap_or_default();
        let (mut lost, mut slow) = (Vec::new(), Vec::new());
        for (key, attachment) in attachments.iter_mut().filter(|(_, a)| a.container == container) {
            let goes = match attachment.side(Some(output)) {
                Side::Closed => Goes::On,
                Side::Waiting(kept, before) => {
                    let skipped = count.min(*before);
                    *before -= skipped;
                    if kept.add(bytes.get(skipped..).unwrap_or_default()) { Goes::On } else { Goes::Lost }
                }
                Side::Taken(stream) => match streams.get_mut(stream) {
                    Some(Stream::Copy(copy)) => match copy.take(bytes, poller) {
                        Goes::Slow => {
                            slow.push(*stream);
                            Goes::Slow
                        }
                        goes => goes,
                    },
                    _ => Goes::On,
                },
            };
            if goes == Goes::Lost {
                lost.push(*key);
            }
        }
        for stream in slow {
            self.time_copy(stream);
        }
        for key in lost {
            self.close_side(key, Some(output))?;
        }
        self.hold_outputs(container);
        Ok(())
    }

    fn time_copy(&mut self, stream: u64) {
        let Some(Stream::Copy(copy)) = self.streams.get_mut(&stream) else { return };
        if !std::mem::replace(&mut copy.timed, true) {
            self.timers.add(clock::deadline(LOOK_MS), Due::Slow(stream));
        }
    }

    /// A reader was slow a while ago: has it taken something since?
    pub(crate) fn look_at_reader(&mut self, stream: u64) -> SysResult<()> {
        let Some(Stream::Copy(copy)) = self.streams.get_mut(&stream) else { return Ok(()) };
        copy.timed = false;
        if !copy.is_slow() {
            return Ok(());
        }
        let nanoseconds = |ms: u64| i64::try_from(ms * 1_000_000).unwrap_or(i64::MAX);
        let takes_some = copy.progress().saturating_add(nanoseconds(PATIENCE_MS)) > clock::boot();
        if takes_some && !copy.is_behind_for(nanoseconds(BEHIND_MS)) {
            self.time_copy(stream);
            return Ok(());
        }
        let attachment = copy.attachment;
        self.detach(attachment)
    }

    /// The time to take an attachment's streams is over.
    pub(crate) fn drop_untaken(&mut self, key: u64) -> SysResult<()> {
        for output in [None, Some(Output::Stdout), Some(Output::Stderr)] {
            let side = self.attachments.get_mut(&key).map(|a| a.side(output));
            if side.is_some_and(|s| matches!(s, Side::Waiting(..))) {
                self.close_side(key, output)?;
            }
        }
        Ok(())
    }

    /// An end of a copy is ready.
    pub(crate) fn serve_copy(&mut self, key: u64, mut copy: Copied, ready: Ready) -> SysResult<()> {
        let goes = if ready.gone { Goes::Lost } else { copy.go_on(&self.poller) };
        let (attachment, output) = (copy.attachment, copy.output);
        if goes == Goes::Ended {
            copy.finish();
        }
        self.streams.insert(key, Stream::Copy(copy));
        match goes {
            Goes::Lost | Goes::Ended => self.close_side(attachment, Some(output)),
            Goes::Slow => {
                self.time_copy(key);
                Ok(())
            }
            Goes::On => {
                if let Some(container) = self.attachments.get(&attachment).map(|a| a.container) {
                    self.hold_outputs(container);
                }
                Ok(())
            }
        }
    }

    /// A stream of an attachment is over, for whatever reason.
    fn close_side(&mut self, key: u64, output: Option<Output>) -> SysResult<()> {
        let Some(attachment) = self.attachments.get_mut(&key) else { return Ok(()) };
        let container = attachment.container;
        let side = std::mem::take(attachment.side(output));
        if let Side::Taken(stream) = side {
            self.close_stream(stream);
        }
        if output.is_none() && !matches!(side, Side::Closed) {
            self.input_detached(container)?;
        }
        self.hold_outputs(container);
        self.forget_if_over(key);
        Ok(())
    }

    /// Nothing is left to do for it: all its outputs are over, and its input is or has nobody to read it.
    fn forget_if_over(&mut self, key: u64) {
        let Some(attachment) = self.attachments.get(&key) else { return };
        let is_alive = self.containers.get(&attachment.container).is_some_and(|c| c.is_alive());
        let outputs_over = matches!((&attachment.stdout, &attachment.stderr), (Side::Closed, Side::Closed));
        if !outputs_over || (is_alive && !matches!(attachment.stdin, Side::Closed)) {
            return;
        }
        let stdin = self.attachments.remove(&key).map(|a| a.stdin);
        if let Some(Side::Taken(stream)) = stdin {
            self.close_stream(stream);
        }
    }

    /// The peer has ended its input.
    pub(crate) fn attached_input_ended(&mut self, key: u64) -> SysResult<()> {
        self.close_side(key, None)
    }

    /// Someone who could write has gone: with stdin_once that ends the container's input.
    fn input_detached(&mut self, container: u64) -> SysResult<()> {
        let Some(found) = self.containers.get_mut(&container).filter(|c| c.stdin_once && !c.terminal) else {
            return Ok(());
        };
        found.stdin = None;
        self.stop_inputs(container);
        Ok(())
    }

    /// A container's input has ended: what is still written to it goes nowhere.
    pub(crate) fn stop_inputs(&mut self, container: u64) {
        let Self { attachments, streams, poller, .. } = self;
        for attachment in attachments.values().filter(|a| a.container == container) {
            if let Side::Taken(stream) = &attachment.stdin
                && let Some(Stream::Input(input)) = streams.get_mut(stream)
            {
                // without room for watching it is closed with its attachment
                let _ = input.stop(poller);
            }
        }
    }

    /// An output of a container has ended: its readers get what is kept, then the end.
    pub(crate) fn end_copies(&mut self, container: u64, output: Output) -> SysResult<()> {
        let of_it: Vec<u64> =
            self.attachments.iter().filter(|(_, a)| a.container == container).map(|(k, _)| *k).collect();
        for key in of_it {
            let Some(attachment) = self.attachments.get_mut(&key) else { continue };
            match attachment.side(Some(output)) {
                Side::Closed => self.forget_if_over(key),
                Side::Waiting(kept, _) => kept.ended = true,
                Side::Taken(stream) => {
                    let stream = *stream;
                    if let Some(Stream::Copy(copy)) = self.streams.get_mut(&stream) {
                        copy.end();
                    }
                    let source = Source::Stream(stream);
                    self.stream_ready(stream, Ready { source, readable: false, writable: true, gone: false })?;
                }
            }
        }
        Ok(())
    }

    /// A container has ended: attachments that wait for nothing more are over.
    pub(crate) fn forget_attachments(&mut self, container: u64) {
        let of_it = self.attachments.iter().filter(|(_, a)| a.container == container);
        for key in of_it.map(|(key, _)| *key).collect::<Vec<u64>>() {
            self.forget_if_over(key);
        }
    }

    /// Ends an attachment, whatever is left for it.
    fn detach(&mut self, key: u64) -> SysResult<()> {
        for output in [None, Some(Output::Stdout), Some(Output::Stderr)] {
            self.close_side(key, output)?;
        }
        Ok(())
    }

    /// A connection has closed: so are its attachments.
    pub(crate) fn detach_all_of(&mut self, connection: u64) -> SysResult<()> {
        let of_it = self.attachments.iter().filter(|(_, a)| a.connection == connection);
        for key in of_it.map(|(key, _)| *key).collect::<Vec<u64>>() {
            self.detach(key)?;
        }
        Ok(())
    }

    /// Whether a reader holds an output of a container back: it is slow, or has not begun.
    fn has_slow_reader(&self, container: u64, output: Output) -> bool {
        self.attachments.values().filter(|a| a.container == container).any(|a| match a.output(output) {
            Side::Closed => false,
            Side::Waiting(..) => true,
            Side::Taken(stream) => matches!(self.streams.get(stream), Some(Stream::Copy(copy)) if copy.is_slow()),
        })
    }

    /// Whether an output of a container is held back.
    pub(crate) fn is_held(&self, container: u64, output: Output) -> bool {
        self.containers.get(&container).is_some_and(|c| c.held.contains(output))
    }

    /// Stops or goes on reading a container's outputs as its readers need. After its end nothing is held back: the exit
    /// waits for no reader.
    pub(crate) fn hold_outputs(&mut self, container: u64) {
        for output in [Output::Stdout, Output::Stderr] {
            let Some(found) = self.containers.get(&container) else { return };
            let hold = found.ending.is_none() && self.has_slow_reader(container, output);
            let Some(fd) = found.outputs.get(output).filter(|_| hold != found.held.contains(output)) else { continue };
            if hold {
                self.poller.remove(fd);
            } else if self.poller.add(fd, Source::Output(container, output)).is_err() {
                self.timers.add(clock::deadline(AGAIN_MS), Due::Hold(container));
                continue;
            }
            if let Some(found) = self.containers.get_mut(&container) {
                found.held.set(output, hold);
            }
        }
    }
}
