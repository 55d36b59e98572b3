//! Bounded pipes between the stages: pieces are shared, not copied, and a stage that fails ends its neighbours.

use crate::cause::Cause;
use crate::job::Job;
use crate::piece::Piece;
use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Pieces under way between two stages: with 256 kB pieces, 2 MiB.
const DEPTH: usize = 8;

enum Message {
    Piece(Arc<Piece>),
    End,
}

/// The writing end.
pub(crate) struct Writer {
    sender: SyncSender<Message>,
}

/// The reading end.
pub(crate) struct Reader<'a> {
    receiver: Receiver<Message>,
    piece: Option<Arc<Piece>>,
    at: usize,
    ended: bool,
    job: &'a Job,
    /// Bytes taken out so far.
    taken: &'a AtomicU64,
}

/// Makes a pipe; `taken` counts what was read.
pub(crate) fn pipe<'a>(job: &'a Job, taken: &'a AtomicU64) -> (Writer, Reader<'a>) {
    let (sender, receiver) = sync_channel(DEPTH);
    let reader = Reader { receiver, piece: None, at: 0, ended: false, job, taken };
    (Writer { sender }, reader)
}

impl Writer {
    /// Hands a piece on; fails when the reader is gone.
    pub(crate) fn write(&self, piece: Arc<Piece>) -> Result<(), Cause> {
        if piece.is_empty() {
            return Ok(());
        }
        self.sender.send(Message::Piece(piece)).map_err(|_| Cause::OtherStage)
    }

    /// Says that all was written; a writer dropped without it has failed.
    pub(crate) fn end(self) -> Result<(), Cause> {
        self.sender.send(Message::End).map_err(|_| Cause::OtherStage)
    }
}

impl Reader<'_> {
    /// The next whole piece; `None` at the end.
    pub(crate) fn piece(&mut self) -> Result<Option<Arc<Piece>>, Cause> {
        self.job.check()?;
        // Looked at through `fill_buf`, but not begun.
        if self.at == 0
            && let Some(piece) = self.piece.take()
        {
            return Ok(Some(piece));
        }
        if self.ended {
            return Ok(None);
        }
        match self.receiver.recv() {
            Ok(Message::Piece(piece)) => {
                self.taken.fetch_add(piece.len() as u64, Relaxed);
                Ok(Some(piece))
            }
            Ok(Message::End) => {
                self.ended = true;
                Ok(None)
            }
            Err(_) => Err(Cause::OtherStage),
        }
    }
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece.as_ref().is_none_or(|piece| self.at == piece.len()) {
            (self.piece, self.at) = (None, 0);
            // The cause travels by another way: the stage that failed reports it.
            self.piece = self.piece().map_err(|_| io::Error::new(ErrorKind::BrokenPipe, Gone))?;
        }
        Ok(self.piece.as_ref().map_or(&[], |piece| &piece[self.at..]))
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let count = there.len().min(buf.len());
        buf[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The stage before ended without saying so.
#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stage before failed")
    }
}

impl std::error::Error for Gone {}

/// Whether a read failed because of the stage before.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Gone>())
}
