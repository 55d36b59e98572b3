//! One daemon's connection: frames in, frames out, neither ever waited for.

use podwright_protocol::frame::{self, FrameError};
use podwright_protocol::message::Frame;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// More than this waiting for a slow reader ends its connection: two of the largest frames.
const MAX_QUEUED: usize = 2 * frame::MAX_FRAME;

/// The largest frame before hello.
const MAX_FIRST: usize = 64 * 1024;

/// Bytes of a frame's length.
const HEAD: usize = 4;

/// Why a connection has ended.
#[derive(Debug)]
pub(crate) struct Closed;

/// A connection and what is under way on it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket, non-blocking.
    pub(crate) socket: OwnedFd,
    /// Has said hello, so gets events.
    pub(crate) greeted: bool,
    /// epoll watches for room to write.
    pub(crate) writing: bool,
    received: Vec<u8>,
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    sent_of_first: usize,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            greeted: false,
            writing: false,
            received: Vec::new(),
            queue: VecDeque::new(),
            queued: 0,
            sent_of_first: 0,
        }
    }

    /// Reads what is there (one buffer's worth) and gives the whole frames. Before hello not a byte more than the first
    /// frame is read: what follows one that opens a stream are the stream's.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<Vec<Frame>, Closed> {
        loop {
            let room = if self.greeted { scratch.len() } else { self.missing_of_first()?.min(scratch.len()) };
            let buffer = scratch.get_mut(..room).unwrap_or_default();
            let count = match rustix::io::read(&self.socket, buffer) {
                Ok(0) => return Err(Closed),
                Ok(count) => count,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(Vec::new()),
                Err(_) => return Err(Closed),
            };
            self.received.extend_from_slice(scratch.get(..count).unwrap_or_default());
            let frames = self.take_frames().map_err(|_| Closed)?;
            if self.greeted || !frames.is_empty() {
                return Ok(frames);
            }
        }
    }

    /// How many bytes are missing of a frame's length, or of the frame.
    fn missing_of_first(&self) -> Result<usize, Closed> {
        let Some(head) = self.received.first_chunk() else { return Ok(HEAD - self.received.len()) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > MAX_FIRST { Err(Closed) } else { Ok(HEAD + length - self.received.len()) }
    }

    fn take_frames(&mut self) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Vec::new();
        let mut used = 0;
        while let Some((frame, length)) = frame::decode(self.received.get(used..).unwrap_or_default())? {
            used += length;
            frames.push(frame);
        }
        self.received.drain(..used);
        if self.received.is_empty() && self.received.capacity() > 4096 {
            self.received = Vec::new();
        }
        Ok(frames)
    }

    /// Sends a frame's bytes now or when there is room; too much waiting closes the connection.
    pub(crate) fn send(&mut self, bytes: Vec<u8>) -> Result<(), Closed> {
        if self.queued + bytes.len() > MAX_QUEUED {
            return Err(Closed);
        }
        self.queued += bytes.len();
        self.queue.push_back(bytes);
        self.flush()
    }

    /// Writes as much as there is room for.
    pub(crate) fn flush(&mut self) -> Result<(), Closed> {
        while let Some(first) = self.queue.front() {
            let rest = first.get(self.sent_of_first..).unwrap_or_default();
            match rustix::net::send(&self.socket, rest, rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.queued -= count;
                    self.sent_of_first += count;
                    if self.sent_of_first >= first.len() {
                        self.queue.pop_front();
                        self.sent_of_first = 0;
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Closed),
            }
        }
        Ok(())
    }

    /// Whether something waits for room.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }
}
