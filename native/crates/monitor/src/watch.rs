//! A descriptor together with what the loop waits for on it.

use crate::poller::{Poller, Source};
use podwright_sys::errno::SysResult;
use rustix::event::epoll::EventFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing at all: not even the other side's end, which would be told again and again.
    Nothing,
    /// The other side's end.
    End,
    /// Something to read.
    Input,
    /// Room to write.
    Room,
    /// Either.
    Both,
}

impl Wait {
    /// Something to read, room to write, both, or with neither the other side's end.
    pub(crate) fn of(input: bool, room: bool) -> Self {
        match (input, room) {
            (true, true) => Self::Both,
            (true, false) => Self::Input,
            (false, true) => Self::Room,
            (false, false) => Self::End,
        }
    }

    fn flags(self) -> Option<EventFlags> {
        match self {
            Self::Nothing => None,
            Self::End => Some(EventFlags::empty()),
            Self::Input => Some(EventFlags::IN),
            Self::Room => Some(EventFlags::OUT),
            Self::Both => Some(EventFlags::IN | EventFlags::OUT),
        }
    }
}

/// A descriptor that the loop may wait for.
#[derive(Debug)]
pub(crate) struct Watch {
    fd: OwnedFd,
    source: Source,
    now: Wait,
}

impl Watch {
    /// Waits for nothing yet.
    pub(crate) fn new(fd: OwnedFd, source: Source) -> Self {
        Self { fd, source, now: Wait::Nothing }
    }

    /// Changes what is waited for.
    pub(crate) fn wait(&mut self, poller: &Poller, wanted: Wait) -> SysResult<()> {
        if wanted == self.now {
            return Ok(());
        }
        match (self.now.flags(), wanted.flags()) {
            (None, Some(flags)) => poller.add_for(&self.fd, self.source, flags)?,
            (Some(_), Some(flags)) => poller.change(&self.fd, self.source, flags)?,
            _ => poller.remove(&self.fd),
        }
        self.now = wanted;
        Ok(())
    }

    /// Waits for nothing more and gives the descriptor away. (Dropping it instead would not do: a child that is just
    /// being forked may hold the same open file.)
    pub(crate) fn release(self, poller: &Poller) -> OwnedFd {
        if self.now != Wait::Nothing {
            poller.remove(&self.fd);
        }
        self.fd
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
