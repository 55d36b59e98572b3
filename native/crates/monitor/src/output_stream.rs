//! Streams that come from an exec's output.

use crate::flow::{self, AT_ONCE, Moved, USUAL_PIPE};
use crate::output::{Got, read};
use crate::poller::{Output, Poller, Ready, Source};
use crate::server::Monitor;
use crate::stream::Stream;
use crate::watch::{Wait, Watch};
use podwright_sys::errno::SysResult;
use std::os::fd::OwnedFd;

/// A stream of output.
#[derive(Debug)]
pub(crate) struct OutputStream {
    socket: Watch,
    source: Watch,
    exec: u64,
    output: Output,
    /// The source is a terminal's master.
    terminal: bool,
    /// What was read of a terminal and is not sent: of one read at most.
    rest: Vec<u8>,
    /// So many bytes are the last of it, once that is known.
    left: Option<usize>,
    enlarged: bool,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Goes,
    Ended,
    Lost,
}

impl OutputStream {
    /// From the source of an exec's output to a connection.
    pub(crate) fn new(socket: Watch, source: Watch, (exec, output): (u64, Output), terminal: bool) -> Self {
        Self { socket, source, exec, output, terminal, rest: Vec::new(), left: None, enlarged: false }
    }

    /// Closes the connection and gives the source back.
    pub(crate) fn close(self, poller: &Poller) -> OwnedFd {
        drop(self.socket.release(poller));
        self.source.release(poller)
    }

    fn step(&mut self, poller: &Poller, buffer: &mut [u8]) -> SysResult<Step> {
        if self.left == Some(0) && self.rest.is_empty() {
            return Ok(Step::Ended);
        }
        match if self.terminal { self.step_terminal(buffer) } else { self.step_pipe() } {
            Moved::Bytes(count) => {
                self.left = self.left.map(|left| left.saturating_sub(count));
                if self.left == Some(0) && self.rest.is_empty() {
                    return Ok(Step::Ended);
                }
                self.wait(poller, Wait::End, Wait::Input)
            }
            Moved::Empty if self.left.is_some() => Ok(Step::Ended),
            Moved::Empty => self.wait(poller, Wait::End, Wait::Input),
            Moved::Full => self.wait(poller, Wait::Room, Wait::Nothing),
            Moved::End | Moved::Failed => Ok(Step::Ended),
            Moved::Broken => Ok(Step::Lost),
        }
    }

    fn wait(&mut self, poller: &Poller, socket: Wait, source: Wait) -> SysResult<Step> {
        self.socket.wait(poller, socket)?;
        self.source.wait(poller, source)?;
        Ok(Step::Goes)
    }

    fn step_pipe(&mut self) -> Moved {
        let moved = flow::splice(&self.source, &self.socket, self.left.unwrap_or(AT_ONCE));
        if let Moved::Bytes(count) = moved
            && count >= USUAL_PIPE
            && !self.enlarged
        {
            self.enlarged = true;
            flow::enlarge(&self.source);
        }
        moved
    }

    fn step_terminal(&mut self, buffer: &mut [u8]) -> Moved {
        if !self.rest.is_empty() {
            return match flow::send(&self.socket, &self.rest) {
                Moved::Bytes(count) if count < self.rest.len() => {
                    self.rest.drain(..count);
                    Moved::Full
                }
                Moved::Bytes(_) => {
                    self.rest = Vec::new();
                    Moved::Bytes(0)
                }
                other => other,
            };
        }
        let count = match read(&self.source, buffer) {
            Got::Bytes(count) => count,
            Got::Nothing => return Moved::Empty,
            Got::End => return Moved::End,
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        let sent = match flow::send(&self.socket, bytes) {
            Moved::Bytes(sent) => sent,
            Moved::Full => 0,
            other => return other,
        };
        self.left = self.left.map(|left| left.saturating_sub(count));
        self.rest = bytes.get(sent..).unwrap_or_default().to_vec();
        if self.rest.is_empty() { Moved::Bytes(0) } else { Moved::Full }
    }
}

impl Monitor {
    /// An end of an output stream is ready.
    pub(crate) fn serve_output(&mut self, key: u64, mut stream: OutputStream, ready: Ready) -> SysResult<()> {
        let lost = ready.gone && matches!(ready.source, Source::Stream(_));
        if stream.terminal {
            self.scratch_used();
        }
        let step = if lost {
            Step::Lost
        } else {
            // without room for watching it counts as lost
            stream.step(&self.poller, self.scratch.bytes()).unwrap_or(Step::Lost)
        };
        let (exec, output) = (stream.exec, stream.output);
        match step {
            Step::Goes => {
                self.streams.insert(key, Stream::Output(stream));
                Ok(())
            }
            Step::Ended => {
                flow::finish(&stream.socket);
                drop(stream.close(&self.poller));
                self.exec_output_ended(exec, output)
            }
            Step::Lost => {
                let fd = stream.close(&self.poller);
                self.exec_output_lost(exec, output, fd)
            }
        }
    }

    /// What the source holds now is the last of a stream.
    pub(crate) fn end_output_stream(&mut self, key: u64) -> SysResult<()> {
        let Some(Stream::Output(stream)) = self.streams.get_mut(&key) else { return Ok(()) };
        stream.left = Some(flow::readable(&stream.source));
        let source = Source::Far(key);
        self.stream_ready(key, Ready { source, readable: true, writable: true, gone: false })
    }

    /// Closes a stream and gives the output it came from.
    pub(crate) fn take_output_back(&mut self, key: u64) -> Option<OwnedFd> {
        match self.streams.remove(&key)? {
            Stream::Output(stream) => Some(stream.close(&self.poller)),
            other => {
                other.close(&self.poller);
                None
            }
        }
    }
}
