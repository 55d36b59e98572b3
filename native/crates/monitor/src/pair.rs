//! Two sockets joined both ways: what one says the other hears, each direction until its end.

use crate::flow::{self, AT_ONCE, Moved};
use crate::poller::Poller;
use crate::watch::{Wait, Watch};
use rustix::pipe::PipeFlags;
use std::os::fd::OwnedFd;

/// Attempts per turn of the loop and direction.
const TURN: usize = 8;

/// A pipe through which bytes pass from one socket to the other inside the kernel.
#[derive(Debug)]
pub(crate) struct Transit {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Transit {
    fn make() -> Option<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        Some(Self { reader, writer })
    }
}

/// The two sockets.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The daemon's.
    pub(crate) near: Watch,
    /// The other.
    pub(crate) far: Watch,
}

/// One direction. It has a pipe only while bytes are on their way that the other side does not take yet.
#[derive(Debug, Default)]
struct Way {
    transit: Option<Transit>,
    held: usize,
    done: bool,
}

impl Way {
    fn wants_input(&self) -> bool {
        !self.done && self.held == 0
    }

    /// No more bytes shall go this way.
    fn abandon(&mut self) {
        *self = Self { done: true, ..Self::default() };
    }

    /// Moves what can be moved. False when the whole is broken.
    fn pass(&mut self, from: &Watch, to: &Watch, spare: &mut Option<Transit>) -> bool {
        for _ in 0..TURN {
            if self.done {
                return true;
            }
            if let Some(transit) = self.transit.take() {
                match flow::splice(&transit.reader, to, self.held) {
                    Moved::Bytes(count) => self.held = self.held.saturating_sub(count),
                    Moved::Full | Moved::Empty => {
                        self.transit = Some(transit);
                        return true;
                    }
                    Moved::End | Moved::Broken | Moved::Failed => return false,
                }
                if self.held > 0 {
                    self.transit = Some(transit);
                } else {
                    spare.get_or_insert(transit);
                }
                continue;
            }
            let Some(transit) = spare.take().or_else(Transit::make) else { return false };
            match flow::splice(from, &transit.writer, AT_ONCE) {
                Moved::Bytes(count) => {
                    (self.held, self.transit) = (count, Some(transit));
                }
                Moved::Empty | Moved::Full => {
                    spare.get_or_insert(transit);
                    return true;
                }
                Moved::End => {
                    spare.get_or_insert(transit);
                    flow::finish(to);
                    self.done = true;
                    return true;
                }
                Moved::Broken | Moved::Failed => return false,
            }
        }
        true
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// There is more to come.
    On,
    /// Both directions have ended, or the whole is broken.
    Over,
}

/// Two joined sockets.
#[derive(Debug)]
pub(crate) struct Joined {
    ends: Ends,
    /// From near to far.
    up: Way,
    /// From far to near.
    down: Way,
    near_gone: bool,
    far_gone: bool,
}

impl Joined {
    /// Joins them.
    pub(crate) fn new(ends: Ends) -> Self {
        Self { ends, up: Way::default(), down: Way::default(), near_gone: false, far_gone: false }
    }

    /// The far socket.
    pub(crate) fn far(&self) -> &Watch {
        &self.ends.far
    }

    /// The near socket was closed by its peer, which takes nothing any more; what it has said is still passed on. True
    /// when this was not known.
    pub(crate) fn lose_near(&mut self) -> bool {
        self.down.abandon();
        !std::mem::replace(&mut self.near_gone, true)
    }

    /// The far socket has ended in both directions; what it has said is still to be read.
    pub(crate) fn far_has_gone(&mut self) {
        self.far_gone = true;
    }

    /// Passes on what can be passed on, both ways.
    pub(crate) fn pass(&mut self, poller: &Poller, spare: &mut Option<Transit>) -> Passed {
        let Self { ends: Ends { near, far }, up, down, near_gone, far_gone } = self;
        let whole = up.pass(near, far, spare) && down.pass(far, near, spare);
        if !whole || (up.done && down.done) {
            return Passed::Over;
        }
        let wait = |input: bool, room: bool, gone: bool| match Wait::of(input, room) {
            Wait::End if gone => Wait::Nothing, // it would be told again and again
            wait => wait,
        };
        let near_wait = wait(up.wants_input(), down.held > 0, *near_gone);
        let far_wait = wait(down.wants_input(), up.held > 0, *far_gone);
        let watched = near.wait(poller, near_wait).and_then(|()| far.wait(poller, far_wait));
        if watched.is_ok() { Passed::On } else { Passed::Over }
    }

    /// Closes both.
    pub(crate) fn close(self, poller: &Poller) {
        drop(self.ends.near.release(poller));
        drop(self.ends.far.release(poller));
    }
}
