//! The two sockets, and waiting for them.

use crate::{Limits, Stop};
use podwright_sys::errno::{SysError, SysResult};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// Ends a carrying from another thread.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<OwnedFd>);

impl Canceller {
    /// Makes one.
    ///
    /// # Errors
    /// The errno of eventfd.
    pub fn new() -> SysResult<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| error("eventfd", e))?;
        Ok(Self(Arc::new(fd)))
    }

    /// Ends it.
    pub fn cancel(&self) {
        // an eventfd that is full has been told already
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

/// What is joined.
#[derive(Debug)]
pub struct Ends {
    /// The client's connection.
    pub from: OwnedFd,
    /// The monitor's.
    pub to: OwnedFd,
    /// Who may end it.
    pub canceller: Canceller,
}

/// The ends, and how long they may go on.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) ends: Ends,
    limits: Limits,
    until: Instant,
    /// Bytes that were passed on.
    pub(crate) bytes: u64,
}

pub(crate) fn error(syscall: &'static str, errno: Errno) -> SysError {
    SysError::new("carry input", syscall, errno.raw_os_error(), "")
}

impl Way {
    pub(crate) fn new(ends: Ends, limits: Limits) -> Self {
        Self { ends, limits, until: Instant::now() + limits.time, bytes: 0 }
    }

    /// Whether the time is over, without waiting.
    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Waits until the client's connection has bytes or its end. Some: why not.
    pub(crate) fn wait_input(&self) -> SysResult<Option<Stop>> {
        self.wait(self.ends.from.as_fd(), PollFlags::IN)
    }

    /// Waits until the monitor's connection has room, or is closed. Some: why not.
    pub(crate) fn wait_room(&self) -> SysResult<Option<Stop>> {
        self.wait(self.ends.to.as_fd(), PollFlags::OUT)
    }

    fn wait(&self, fd: BorrowedFd<'_>, events: PollFlags) -> SysResult<Option<Stop>> {
        let quiet = Timespec::try_from(self.limits.quiet).map_err(|_| error("poll", Errno::INVAL))?;
        let mut fds = [PollFd::from_borrowed_fd(fd, events), PollFd::new(&*self.ends.canceller.0, PollFlags::IN)];
        match poll(&mut fds, Some(&quiet)) {
            Ok(0) => return Ok(Some(Stop::Quiet)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(error("poll", errno)),
        }
        if !fds[1].revents().is_empty() {
            return Ok(Some(Stop::Cancelled));
        }
        Ok(self.is_late().then_some(Stop::Done))
    }

    /// Reads what there is, waiting for some. Err: why there is none.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> SysResult<Result<usize, Stop>> {
        loop {
            match rustix::net::recv(&self.ends.from, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Ok(Err(Stop::Ended)),
                Ok((_, count)) => return Ok(Ok(count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if let Some(stop) = self.wait_input()? {
                        return Ok(Err(stop));
                    }
                }
                Err(_) => return Ok(Err(Stop::Ended)), // reset: the caller sees the same
            }
        }
    }

    /// Sends all of it. Err: how much went, and why no more.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> SysResult<Result<(), (usize, Stop)>> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match rustix::net::send(&self.ends.to, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => {
                    sent += count;
                    self.bytes += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if let Some(stop) = self.wait_room()? {
                        return Ok(Err((sent, stop)));
                    }
                }
                Err(_) => return Ok(Err((sent, Stop::Unread))),
            }
        }
        Ok(Ok(()))
    }
}
