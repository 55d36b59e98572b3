//! A blocking client of a monitor, for tests and tools; the daemon has its own in TypeScript.

use crate::VERSION;
use crate::frame::{self, FrameError};
use crate::message::{
    Event, Failure, Frame, Hello, HelloReply, OpenStream, Request, Response, frame::Body, request::Call, response,
};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Why a call got no answer, or got a failure.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed or was closed.
    #[error("monitor socket: {0}")]
    Io(#[from] std::io::Error),
    /// The monitor sent no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The monitor answered with a failure.
    #[error("{}", .0.detail)]
    Failed(Box<Failure>),
    /// The monitor answered with another call's result.
    #[error("unexpected answer of the monitor")]
    Unexpected,
}

impl ClientError {
    /// The failure's fields, when the monitor answered with one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// No answer takes longer than this; a test that waits for one fails instead of hanging.
const LIMIT: Duration = Duration::from_secs(180);

/// Opens a stream on a connection of its own, which then carries the stream's bytes both ways.
///
/// # Errors
/// The connect's, or the failure the monitor answered with.
pub fn open_stream(path: &Path, request: OpenStream) -> Result<UnixStream, ClientError> {
    let mut client = Client::connect(path)?;
    client.send(Call::OpenStream(request))?;
    client.stream.set_read_timeout(Some(LIMIT))?;
    let mut bytes = vec![0; 4];
    client.stream.read_exact(&mut bytes)?;
    let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    bytes.resize(4 + length, 0);
    client.stream.read_exact(&mut bytes[4..])?;
    match frame::decode(&bytes)?.and_then(|(frame, _)| frame.body) {
        Some(Body::Response(Response { result: Some(response::Result::Empty(_)), .. })) => Ok(client.stream),
        Some(Body::Response(Response { result: Some(response::Result::Failure(failure)), .. })) => {
            Err(ClientError::Failed(Box::new(failure)))
        }
        _ => Err(ClientError::Unexpected),
    }
}

/// One connection to a monitor.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    next_id: u64,
    events: VecDeque<Event>,
    answers: VecDeque<Response>,
}

impl Client {
    /// Connects without saying hello.
    ///
    /// # Errors
    /// The connect's.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path)?;
        Ok(Self { stream, received: Vec::new(), next_id: 1, events: VecDeque::new(), answers: VecDeque::new() })
    }

    /// Connects and says hello: the client and what the monitor told of itself.
    ///
    /// # Errors
    /// The connect's or the call's.
    pub fn open(path: &Path) -> Result<(Self, HelloReply), ClientError> {
        let mut client = Self::connect(path)?;
        let hello = Hello { version: VERSION, daemon_version: env!("CARGO_PKG_VERSION").into() };
        match client.call(Call::Hello(hello))? {
            response::Result::Hello(reply) => Ok((client, reply)),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Sends a call and gives its id, for [`Client::wait`].
    ///
    /// # Errors
    /// The socket's.
    pub fn send(&mut self, call: Call) -> Result<u64, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let request = Request { id, call: Some(call) };
        let bytes = frame::encode(&Frame { body: Some(Body::Request(request)) })?;
        self.stream.write_all(&bytes)?;
        Ok(id)
    }

    /// Waits for the answer to a sent call; events that come meanwhile are kept.
    ///
    /// # Errors
    /// The socket's, no answer within three minutes, or the failure the monitor answered with.
    pub fn wait(&mut self, id: u64) -> Result<response::Result, ClientError> {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.answers.iter().position(|a| a.id == id) {
                let answer = self.answers.remove(at).and_then(|a| a.result).ok_or(ClientError::Unexpected)?;
                return match answer {
                    response::Result::Failure(failure) => Err(ClientError::Failed(Box::new(failure))),
                    other => Ok(other),
                };
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
            }
            self.receive(Some(left))?;
        }
    }

    /// Sends a call and waits for its answer.
    ///
    /// # Errors
    /// As [`Client::wait`].
    pub fn call(&mut self, call: Call) -> Result<response::Result, ClientError> {
        let id = self.send(call)?;
        self.wait(id)
    }

    /// The next pushed event, or `None` when none came in time.
    ///
    /// # Errors
    /// The socket's.
    pub fn event(&mut self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.receive(Some(left))? {
                return Ok(None);
            }
        }
    }

    /// Writes bytes as they are, for tests of bad input.
    ///
    /// # Errors
    /// The socket's.
    pub fn write_raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Reads until something whole has come; false when the time is over.
    fn receive(&mut self, timeout: Option<Duration>) -> Result<bool, ClientError> {
        self.stream.set_read_timeout(timeout)?;
        let mut buffer = [0; 65536];
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(e) => return Err(e.into()),
        };
        self.received.extend_from_slice(&buffer[..count]);
        while let Some((frame, used)) = frame::decode(&self.received)? {
            self.received.drain(..used);
            match frame.body {
                Some(Body::Response(answer)) => self.answers.push_back(answer),
                Some(Body::Event(event)) => self.events.push_back(event),
                _ => {}
            }
        }
        Ok(true)
    }
}
