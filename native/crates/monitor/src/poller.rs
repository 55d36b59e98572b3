//! epoll, with what each descriptor means packed into its 64 bits.

use podwright_sys::errno::{SysError, SysResult};
use rustix::event::epoll;
use std::os::fd::{AsFd, OwnedFd};

/// Which of a process's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Standard output, and everything of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a descriptor is for. The numbers are keys into the server's tables; a key is never used
/// again, so a late event finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The listening socket.
    Listener,
    /// The signal descriptor.
    Signals,
    /// A daemon's connection.
    Connection(u64),
    /// The report socket of a container's, exec's or helper's child.
    Report(u64),
    /// An output of a container or exec.
    Output(u64, Output),
    /// OOM notices of a container's cgroup.
    Oom(u64),
    /// The daemon's end of a stream.
    Stream(u64),
    /// The other end: a pipe, a terminal, a TCP connection.
    Far(u64),
    /// criu, at work for a container.
    Revival(u64),
    /// A helper process with an answer.
    Errand(u64),
    /// A process that writes a container's log.
    Log(u64),
}

const KEY_BITS: u32 = 56;

impl Source {
    fn pack(self) -> u64 {
        let (kind, key) = match self {
            Self::Listener => (0, 0),
            Self::Signals => (1, 0),
            Self::Connection(key) => (2, key),
            Self::Report(key) => (3, key),
            Self::Output(key, Output::Stdout) => (4, key),
            Self::Output(key, Output::Stderr) => (5, key),
            Self::Oom(key) => (6, key),
            Self::Stream(key) => (7, key),
            Self::Far(key) => (8, key),
            Self::Revival(key) => (20, key),
            Self::Errand(key) => (21, key),
            Self::Log(key) => (22, key),
        };
        (kind << KEY_BITS) | key
    }

    fn unpack(data: u64) -> Option<Self> {
        let key = data & ((1 << KEY_BITS) - 1);
        Some(match data >> KEY_BITS {
            0 => Self::Listener,
            1 => Self::Signals,
            2 => Self::Connection(key),
            3 => Self::Report(key),
            4 => Self::Output(key, Output::Stdout),
            5 => Self::Output(key, Output::Stderr),
            6 => Self::Oom(key),
            7 => Self::Stream(key),
            8 => Self::Far(key),
            20 => Self::Revival(key),
            21 => Self::Errand(key),
            22 => Self::Log(key),
            _ => return None,
        })
    }
}

/// A ready descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    /// What it is for.
    pub(crate) source: Source,
    /// There is something to read, or the other side has gone.
    pub(crate) readable: bool,
    /// It can be written.
    pub(crate) writable: bool,
    /// The other side has gone for good, or there was an error.
    pub(crate) gone: bool,
}

/// The epoll instance.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

const OPERATION: &str = "watch descriptors";

fn error(syscall: &'static str) -> impl Fn(rustix::io::Errno) -> SysError {
    move |e| SysError::new(OPERATION, syscall, e.raw_os_error(), "")
}

impl Poller {
    /// Makes the instance.
    pub(crate) fn new() -> SysResult<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(error("epoll_create1"))?;
        Ok(Self { epoll })
    }

    /// Watches a descriptor for input.
    pub(crate) fn add(&self, fd: impl AsFd, source: Source) -> SysResult<()> {
        self.add_for(fd, source, epoll::EventFlags::IN)
    }

    /// Watches a descriptor for what `flags` say; its other side's end and errors are always told.
    pub(crate) fn add_for(&self, fd: impl AsFd, source: Source, flags: epoll::EventFlags) -> SysResult<()> {
        let data = epoll::EventData::new_u64(source.pack());
        epoll::add(&self.epoll, fd, data, flags).map_err(error("epoll_ctl"))
    }

    /// Changes what a watched descriptor is watched for.
    pub(crate) fn change(&self, fd: impl AsFd, source: Source, flags: epoll::EventFlags) -> SysResult<()> {
        let data = epoll::EventData::new_u64(source.pack());
        epoll::modify(&self.epoll, fd, data, flags).map_err(error("epoll_ctl"))
    }

    /// Watches for input, and for room to write when `writing`.
    pub(crate) fn set_writing(&self, fd: impl AsFd, source: Source, writing: bool) -> SysResult<()> {
        let flags = if writing { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
        self.change(fd, source, flags)
    }

    /// Forgets a descriptor. Closing alone does not: a forked child may hold the same open file.
    pub(crate) fn remove(&self, fd: impl AsFd) {
        let gone = epoll::delete(&self.epoll, fd);
        debug_assert!(gone.is_ok());
    }

    /// Waits until something is ready or `timeout` nanoseconds are over (none: without end).
    pub(crate) fn wait(&self, timeout: Option<i64>) -> SysResult<Vec<Ready>> {
        let empty = epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
        let mut events = [empty; 32];
        let limit = timeout.map(|nanos| {
            let nanos = nanos.max(0);
            rustix::event::Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 }
        });
        let count = match epoll::wait(&self.epoll, &mut events[..], limit.as_ref()) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => 0,
            Err(e) => return Err(error("epoll_wait")(e)),
        };
        let (output, end) = (epoll::EventFlags::OUT, epoll::EventFlags::HUP | epoll::EventFlags::ERR);
        let ready = events.iter().take(count).filter_map(|event| {
            let flags = event.flags;
            let source = Source::unpack(event.data.u64())?;
            let (readable, writable) = (!(flags - output).is_empty(), flags.contains(output));
            Some(Ready { source, readable, writable, gone: flags.intersects(end) })
        });
        Ok(ready.collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sources_come_back_from_their_bits() {
        let all = [
            Source::Listener,
            Source::Signals,
            Source::Connection(1),
            Source::Report((1 << KEY_BITS) - 1),
            Source::Output(9, Output::Stdout),
            Source::Output(9, Output::Stderr),
            Source::Oom(3),
            Source::Revival(4),
            Source::Errand(5),
            Source::Log(6),
            Source::Stream(4),
            Source::Far(5),
        ];
        for source in all {
            assert_eq!(Source::unpack(source.pack()), Some(source));
        }
    }

    #[test]
    fn what_is_watched_for_once_is_told_again_when_it_is_asked_for() {
        let poller = Poller::new().unwrap();
        let notice = rustix::event::eventfd(1, rustix::event::EventfdFlags::NONBLOCK).unwrap();
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        poller.add_for(&notice, Source::Oom(1), once).unwrap();
        let told = || poller.wait(Some(0)).unwrap().len();
        assert_eq!((told(), told()), (1, 0));
        poller.change(&notice, Source::Oom(1), once).unwrap();
        assert_eq!((told(), told()), (1, 0));
        poller.remove(&notice);
    }
}
