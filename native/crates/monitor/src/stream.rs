//! OpenStream: a connection that becomes a stream of bytes. The sockets and pipes of the kernel are its only buffers:
//! nothing is read that the other side does not take.

use crate::copied::{Copied, Kept};
use crate::exec_stream::Found;
use crate::flow;
use crate::input::{Input, Owner, Sink};
use crate::output_stream::OutputStream;
use crate::poller::{Output, Poller, Ready, Source};
use crate::port::Port;
use crate::reply::{Answer, Asker, done, failure};
use crate::server::Monitor;
use crate::watch::Watch;
use podwright_protocol::frame;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::open_stream::{Name, Process, Stream as Wanted};
use podwright_protocol::message::{Failure, Frame, OpenStream, Response, frame::Body, response};
use podwright_sys::errno::SysResult;
use std::os::fd::{AsFd, OwnedFd};

pub(crate) const OPERATION: &str = "open a stream";

/// A stream, by what it is joined to.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Goes to a process's standard input.
    Input(Input),
    /// Comes from an exec's output.
    Output(OutputStream),
    /// Comes from a container's output, beside its log.
    Copy(Copied),
    /// A TCP connection, both ways.
    Port(Port),
}

impl Stream {
    /// Closes everything it has.
    pub(crate) fn close(self, poller: &Poller) {
        match self {
            Self::Input(input) => input.close(poller),
            Self::Output(output) => drop(output.close(poller)),
            Self::Copy(copy) => copy.close(poller),
            Self::Port(port) => port.close(poller),
        }
    }
}

/// What a stream is to be joined to.
enum Target {
    Exec(u64, Option<Output>, Found),
    Input(u64, Sink),
    Copy(u64, Output, Kept),
}

/// Answers a call on a socket that is not a connection of calls any more. A peer that has gone is not told.
pub(crate) fn tell(socket: impl AsFd, id: u64, answer: Answer) {
    let result = answer.unwrap_or_else(|failure| response::Result::Failure(*failure));
    let response = Response { id, result: Some(result) };
    if let Ok(bytes) = frame::encode(&Frame { body: Some(Body::Response(response)) }) {
        // a fresh socket has room for one small frame
        let _ = flow::send(socket, &bytes);
    }
}

impl Monitor {
    /// Makes a stream of a connection. A refusal is the last that comes over it.
    pub(crate) fn open_stream(&mut self, asker: Asker, request: &OpenStream) -> SysResult<()> {
        if self.has_greeted(asker.connection) {
            let text = "a stream is opened by the first request of a connection of its own";
            return self.answer(asker, Err(failure(Kind::Invalid, OPERATION, "", text)));
        }
        let Some(socket) = self.detach_connection(asker.connection) else { return Ok(()) };
        if Self::is_short_of(&socket) {
            let text = "there are too many open descriptors";
            tell(&socket, asker.id, Err(failure(Kind::ResourceExhausted, OPERATION, "", text)));
            return Ok(());
        }
        match &request.stream {
            Some(Wanted::Process(process)) => self.open_process(asker, socket, process),
            Some(Wanted::Port(port)) => self.open_port(asker, socket, port.port),
            None => {
                let text = "this monitor does not know the stream";
                tell(&socket, asker.id, Err(failure(Kind::Unsupported, OPERATION, "", text)));
                Ok(())
            }
        }
    }

    fn open_process(&mut self, asker: Asker, socket: OwnedFd, process: &Process) -> SysResult<()> {
        let key = asker.connection;
        let target = match self.target(key, process) {
            Ok(target) => target,
            Err(why) => {
                tell(&socket, asker.id, Err(why));
                return Ok(());
            }
        };
        tell(&socket, asker.id, done());
        let socket = Watch::new(socket, Source::Stream(key));
        let far = |fd: OwnedFd| Watch::new(fd, Source::Far(key));
        let stream = match target {
            Target::Exec(exec, name, found) => {
                let from = (exec, name.unwrap_or(Output::Stdout));
                match found {
                    Found::Input(fd) => Stream::Input(Input::new(socket, Sink::Pipe(far(fd)), Owner::Exec(exec))),
                    Found::TerminalInput(fd) => {
                        Stream::Input(Input::new(socket, Sink::Terminal(far(fd)), Owner::Exec(exec)))
                    }
                    Found::Output(fd) => Stream::Output(OutputStream::new(socket, far(fd), from, false)),
                    Found::TerminalOutput(fd) => Stream::Output(OutputStream::new(socket, far(fd), from, true)),
                }
            }
            Target::Input(key, sink) => Stream::Input(Input::new(socket, sink, Owner::Attachment(key))),
            Target::Copy(key, output, kept) => Stream::Copy(Copied::new(socket, (key, output), kept)),
        };
        self.streams.insert(key, stream);
        self.stream_ready(key, Ready { source: Source::Far(key), readable: true, writable: true, gone: false })
    }

    fn target(&mut self, stream: u64, process: &Process) -> Result<Target, Box<Failure>> {
        let name = match process.name() {
            Name::Stdin => None,
            Name::Stdout => Some(Output::Stdout),
            Name::Stderr => Some(Output::Stderr),
        };
        if let Some(exec) = self.streamed_key(&process.id) {
            return Ok(Target::Exec(exec, name, self.take_exec_side(exec, name, stream)?));
        }
        if let Some(key) = self.attachment_key(&process.id) {
            return Ok(match name {
                None => Target::Input(key, self.take_attached_input(key, stream)?),
                Some(output) => Target::Copy(key, output, self.take_attached(key, name, stream)?),
            });
        }
        let text = format!("there is no exec or attachment {}", process.id);
        Err(failure(Kind::NotFound, OPERATION, &process.id, text))
    }

    /// Something has happened at an end of a stream.
    pub(crate) fn stream_ready(&mut self, key: u64, ready: Ready) -> SysResult<()> {
        match self.streams.remove(&key) {
            Some(Stream::Input(input)) => self.serve_input(key, input),
            Some(Stream::Output(output)) => self.serve_output(key, output, ready),
            Some(Stream::Copy(copy)) => self.serve_copy(key, copy, ready),
            Some(Stream::Port(port)) => self.serve_port(key, port, ready),
            None => Ok(()),
        }
    }

    /// Closes a stream; who it belongs to knows.
    pub(crate) fn close_stream(&mut self, key: u64) {
        if let Some(stream) = self.streams.remove(&key) {
            stream.close(&self.poller);
        }
    }
}
