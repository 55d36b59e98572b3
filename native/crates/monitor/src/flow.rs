//! Moving bytes between descriptors without waiting, in the kernel where it can.

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::pipe::SpliceFlags;
use std::os::fd::AsFd;

/// What one attempt has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// So many bytes have gone over.
    Bytes(usize),
    /// There is nothing to read now.
    Empty,
    /// There is no room to write now.
    Full,
    /// The source has ended.
    End,
    /// The sink takes nothing any more.
    Broken,
    /// The source was reset, or its bytes cannot be had.
    Failed,
}

/// The most that one attempt moves.
pub(crate) const AT_ONCE: usize = 1024 * 1024;

/// What pipes are enlarged to when much flows: the most that a process without privileges may have.
const LARGE_PIPE: usize = 1024 * 1024;

/// The size that pipes have from the beginning.
pub(crate) const USUAL_PIPE: usize = 64 * 1024;

/// Moves at most `limit` bytes by splice(2). One of the two is a pipe.
pub(crate) fn splice(from: impl AsFd, to: impl AsFd, limit: usize) -> Moved {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        return match rustix::pipe::splice(&from, None, &to, None, limit, flags) {
            Ok(0) => Moved::End,
            Ok(count) => Moved::Bytes(count),
            Err(Errno::INTR) => continue,
            // it does not say which of the two has to be waited for
            Err(Errno::AGAIN) => {
                if has_input(&from) {
                    Moved::Full
                } else {
                    Moved::Empty
                }
            }
            Err(Errno::PIPE) => Moved::Broken,
            Err(_) => Moved::Failed,
        };
    }
}

/// Moves at most a buffer's worth from a socket to a terminal. What the terminal does not take stays in the socket.
pub(crate) fn socket_to_terminal(socket: impl AsFd, terminal: impl AsFd, buffer: &mut [u8]) -> Moved {
    let seen = match rustix::net::recv(&socket, &mut *buffer, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => return Moved::End,
        Ok((_, count)) => count,
        Err(Errno::AGAIN | Errno::INTR) => return Moved::Empty,
        Err(_) => return Moved::Failed,
    };
    let taken = match rustix::io::write(&terminal, buffer.get(..seen).unwrap_or_default()) {
        Ok(0) | Err(Errno::AGAIN | Errno::INTR) => return Moved::Full,
        Ok(count) => count,
        Err(_) => return Moved::Broken,
    };
    let part = buffer.get_mut(..taken).unwrap_or_default();
    match rustix::net::recv(&socket, part, RecvFlags::DONTWAIT) {
        Ok((_, count)) => Moved::Bytes(count),
        Err(_) => Moved::Failed,
    }
}

/// Reads what nobody wants.
pub(crate) fn discard(socket: impl AsFd, buffer: &mut [u8]) -> Moved {
    match rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT) {
        Ok((_, 0)) => Moved::End,
        Ok((_, count)) => Moved::Bytes(count),
        Err(Errno::AGAIN | Errno::INTR) => Moved::Empty,
        Err(_) => Moved::Failed,
    }
}

/// Sends what there is room for.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> Moved {
    loop {
        return match rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => Moved::Bytes(count),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Moved::Full,
            Err(_) => Moved::Broken,
        };
    }
}

/// Whether a read would give something: bytes or the end.
pub(crate) fn has_input(fd: impl AsFd) -> bool {
    let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// How many bytes can be read now.
pub(crate) fn readable(fd: impl AsFd) -> usize {
    rustix::io::ioctl_fionread(fd).ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

/// Gives a pipe more room. Where that is refused it keeps the room it has.
pub(crate) fn enlarge(pipe: impl AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, LARGE_PIPE);
}

/// Tells the other side that nothing more comes; one that has gone need not be told.
pub(crate) fn finish(socket: impl AsFd) {
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
}
