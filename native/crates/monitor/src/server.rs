//! The loop: one thread, one epoll, everything the monitor knows.

use crate::arguments::ServeOptions;
use crate::clock;
use crate::connection::Connection;
use crate::poller::{Poller, Ready, Source};
use crate::reply::{Answer, Asker};
use crate::sandbox::Sandbox;
use crate::timers::{Due, Timers};
use podwright_protocol::frame;
use podwright_protocol::message::{Event, Frame, Response, event, frame::Body, response};
use podwright_sys::buffer::Buffer;
use podwright_sys::errno::{SysError, SysResult};
use podwright_sys::signal;
use rustix::net::SocketFlags;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// One read takes at most this much: a pipe's usual size.
const SCRATCH: usize = 64 * 1024;

/// The scratch pages go back to the kernel after so long without use, in milliseconds.
const REST_AFTER_MS: u64 = 1000;

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
    scratch_rests: bool,
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
            scratch_rests: true,
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
            _ => Ok(()),
        }
    }

    fn handle_due(&mut self, due: Due) -> SysResult<()> {
        match due {
            Due::Rest => {
                self.scratch.rest();
                self.scratch_rests = true;
                Ok(())
            }
        }
    }

    /// A key that was never used before.
    pub(crate) fn key(&mut self) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// To be called when the scratch buffer was used: its pages go back after a while.
    pub(crate) fn scratch_used(&mut self) {
        if self.scratch_rests {
            self.scratch_rests = false;
            self.timers.add(clock::deadline(REST_AFTER_MS), Due::Rest);
        }
    }

    /// The loop ends after this turn.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    fn accept(&mut self) -> SysResult<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // A caller that has gone again, or too many descriptors, are no reason to stop.
        while let Ok(socket) = rustix::net::accept_with(&self.listener, flags) {
            let key = self.key();
            self.poller.add(&socket, Source::Connection(key))?;
            self.connections.insert(key, Connection::new(socket));
        }
        Ok(())
    }

    fn take_signals(&mut self) -> SysResult<()> {
        let mut info = [0_u8; 128 * 8];
        loop {
            match rustix::io::read(&self.signals, &mut info) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(SysError::new("read signals", "read", e.raw_os_error(), "")),
            }
        }
        while signal::reap_any()?.is_some() {}
        Ok(())
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
            self.close(key);
            return Ok(());
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

    fn close(&mut self, key: u64) {
        if let Some(connection) = self.connections.remove(&key) {
            self.poller.remove(&connection.socket);
        }
    }

    fn send(&mut self, key: u64, bytes: Vec<u8>) -> SysResult<()> {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        if connection.send(bytes).is_err() {
            self.close(key);
            return Ok(());
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
