//! Copies of a container's output: what an attachment's reader is sent beside the log.

use crate::clock;
use crate::flow::{self, Moved};
use crate::poller::{Output, Poller};
use crate::watch::{Wait, Watch};
use podwright_sys::errno::SysResult;
use std::os::fd::AsFd;

/// More than this is not kept for a reader: a pipe of the largest usual size, which may be full when the container ends.
pub(crate) const MOST_KEPT: usize = 1024 * 1024 + 64 * 1024;

/// Sent at once: the kernel counts what a reader has taken in pieces as they were sent.
const PIECE: usize = 16 * 1024;

/// What a reader has not been sent yet.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    sent: usize,
    /// No more will come.
    pub(crate) ended: bool,
}

impl Kept {
    /// Keeps bytes. False when they are too many.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> bool {
        if self.len() + bytes.len() > MOST_KEPT {
            return false;
        }
        self.bytes.drain(..self.sent);
        self.sent = 0;
        self.bytes.extend_from_slice(bytes);
        true
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn send(&mut self, socket: &Watch) -> Moved {
        let rest = self.bytes.get(self.sent..).unwrap_or_default();
        let moved = flow::send(socket, rest.get(..PIECE).unwrap_or(rest));
        if let Moved::Bytes(count) = moved {
            self.sent += count;
            if self.len() == 0 {
                (self.bytes, self.sent) = (Vec::new(), 0);
            }
        }
        moved
    }
}

/// A stream that carries a copy.
#[derive(Debug)]
pub(crate) struct Copied {
    socket: Watch,
    /// Whose it is.
    pub(crate) attachment: u64,
    /// Of which output.
    pub(crate) output: Output,
    /// Whether a timer looks at the progress.
    pub(crate) timed: bool,
    /// When the reader was last seen to have taken something, on the boot clock.
    progress: i64,
    /// What its socket held then.
    untaken: usize,
    /// Since when something is kept for it without a moment when all was sent, on the boot clock.
    behind_since: Option<i64>,
    kept: Kept,
}

/// How a copy goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goes {
    /// Everything is sent.
    On,
    /// The reader has to take something first.
    Slow,
    /// It has ended, everything sent.
    Ended,
    /// The reader has gone, or is too far behind.
    Lost,
}

impl Copied {
    /// To a connection, beginning with what was kept.
    pub(crate) fn new(socket: Watch, (attachment, output): (u64, Output), kept: Kept) -> Self {
        Self { socket, attachment, output, timed: false, progress: clock::boot(), untaken: 0, behind_since: None, kept }
    }

    /// Closes the connection.
    pub(crate) fn close(self, poller: &Poller) {
        drop(self.socket.release(poller));
    }

    /// Whether its reader holds the container's output back.
    pub(crate) fn is_slow(&self) -> bool {
        self.kept.len() > 0
    }

    /// Whether its reader has held the container's output back for so long, in nanoseconds, without once catching up.
    pub(crate) fn is_behind_for(&self, nanoseconds: i64) -> bool {
        self.behind_since.is_some_and(|since| since.saturating_add(nanoseconds) <= clock::boot())
    }

    /// When the reader was last seen to have taken something. A socket has room again only when most of it was taken, so
    /// what it holds is looked at too.
    pub(crate) fn progress(&mut self) -> i64 {
        let untaken = podwright_sys::socket::untaken(self.socket.as_fd()).unwrap_or(usize::MAX);
        if untaken < self.untaken {
            self.progress = clock::boot();
        }
        self.untaken = untaken;
        self.progress
    }

    /// No more will come: what is kept is the last of it.
    pub(crate) fn end(&mut self) {
        self.kept.ended = true;
    }

    /// Tells the reader the end.
    pub(crate) fn finish(&self) {
        flow::finish(&self.socket);
    }

    /// Sends bytes or keeps them.
    pub(crate) fn take(&mut self, mut bytes: &[u8], poller: &Poller) -> Goes {
        while self.kept.len() == 0 && !bytes.is_empty() {
            match flow::send(&self.socket, bytes.get(..PIECE).unwrap_or(bytes)) {
                Moved::Bytes(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Moved::Full => {
                    self.progress(); // from here on it is looked at
                    self.progress = clock::boot();
                    break;
                }
                _ => return Goes::Lost,
            }
        }
        if self.kept.add(bytes) { self.settle(poller) } else { Goes::Lost }
    }

    /// Sends what is kept.
    pub(crate) fn go_on(&mut self, poller: &Poller) -> Goes {
        while self.kept.len() > 0 {
            match self.kept.send(&self.socket) {
                Moved::Bytes(_) => self.progress = clock::boot(),
                Moved::Full => {
                    self.progress();
                    break;
                }
                _ => return Goes::Lost,
            }
        }
        self.settle(poller)
    }

    fn settle(&mut self, poller: &Poller) -> Goes {
        self.behind_since = if self.is_slow() { self.behind_since.or_else(|| Some(clock::boot())) } else { None };
        let (wait, goes) = match (self.kept.len(), self.kept.ended) {
            (0, true) => return Goes::Ended,
            (0, false) => (Wait::End, Goes::On),
            _ => (Wait::Room, Goes::Slow),
        };
        let watched: SysResult<()> = self.socket.wait(poller, wait);
        if watched.is_ok() { goes } else { Goes::Lost }
    }
}
