//! Streams that go to a process's standard input.

use crate::flow::{self, AT_ONCE, Moved};
use crate::poller::Poller;
use crate::server::Monitor;
use crate::stream::Stream;
use crate::watch::{Wait, Watch};
use podwright_sys::errno::SysResult;

/// Attempts per turn of the loop; the others have theirs in between.
const TURN: usize = 8;

/// Where input goes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// A pipe; closing it ends the process's input. It keeps its size: a socket's pieces fill its 16 places with up to
    /// 32 KiB each.
    Pipe(Watch),
    /// A terminal, whose input has no end.
    Terminal(Watch),
    /// Nowhere: nobody reads it any more.
    Nowhere,
}

/// Whose input it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// An exec's.
    Exec(u64),
    /// A container's, by an attachment.
    Attachment(u64),
}

/// A stream of input.
#[derive(Debug)]
pub(crate) struct Input {
    socket: Watch,
    sink: Sink,
    owner: Owner,
}

impl Input {
    /// From a connection to a sink.
    pub(crate) fn new(socket: Watch, sink: Sink, owner: Owner) -> Self {
        Self { socket, sink, owner }
    }

    /// Closes both ends.
    pub(crate) fn close(self, poller: &Poller) {
        drop(self.socket.release(poller));
        self.sink.close(poller);
    }

    /// From now on what comes is dropped: the process reads nothing any more.
    pub(crate) fn stop(&mut self, poller: &Poller) -> SysResult<()> {
        std::mem::replace(&mut self.sink, Sink::Nowhere).close(poller);
        self.socket.wait(poller, Wait::Input)
    }

    /// Moves what can be moved. False when the input has ended.
    fn step(&mut self, poller: &Poller, buffer: &mut [u8]) -> SysResult<bool> {
        for _ in 0..TURN {
            let moved = match &self.sink {
                Sink::Pipe(pipe) => flow::splice(&self.socket, pipe, AT_ONCE),
                Sink::Terminal(terminal) => flow::socket_to_terminal(&self.socket, terminal, buffer),
                Sink::Nowhere => flow::discard(&self.socket, buffer),
            };
            match moved {
                Moved::Bytes(_) => {}
                Moved::Empty => return self.wait(poller, Wait::Input, Wait::Nothing),
                Moved::Full => return self.wait(poller, Wait::Nothing, Wait::Room),
                Moved::Broken => self.stop(poller)?,
                Moved::End | Moved::Failed => return Ok(false),
            }
        }
        self.wait(poller, Wait::Input, Wait::Nothing)
    }

    fn wait(&mut self, poller: &Poller, socket: Wait, sink: Wait) -> SysResult<bool> {
        self.socket.wait(poller, socket)?;
        if let Sink::Pipe(watch) | Sink::Terminal(watch) = &mut self.sink {
            watch.wait(poller, sink)?;
        }
        Ok(true)
    }
}

impl Sink {
    fn close(self, poller: &Poller) {
        if let Self::Pipe(watch) | Self::Terminal(watch) = self {
            drop(watch.release(poller));
        }
    }
}

impl Monitor {
    /// An end of an input stream is ready.
    pub(crate) fn serve_input(&mut self, key: u64, mut input: Input) -> SysResult<()> {
        self.scratch_used();
        // without room for watching it ends, as if the peer had closed it
        if input.step(&self.poller, self.scratch.bytes()).unwrap_or(false) {
            self.streams.insert(key, Stream::Input(input));
            return Ok(());
        }
        let owner = input.owner;
        input.close(&self.poller);
        match owner {
            Owner::Exec(exec) => self.exec_input_ended(exec),
            Owner::Attachment(attachment) => self.attached_input_ended(attachment),
        }
    }
}
