//! The terminal that a runtime makes: it connects to a socket and sends the master.

use crate::run::{self, Running};
use podwright_container::error::{Kind, StepError, StepResult, failed};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::termios::Winsize;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const OPERATION: &str = "take the terminal";

/// Listens on a name in the working directory.
///
/// # Errors
/// The failing call.
pub(crate) fn listen(name: &str) -> StepResult<OwnedFd> {
    // left by a call that was cut off
    let _ = rustix::fs::unlink(name);
    let address = SocketAddrUnix::new(name).map_err(failed(OPERATION, "bind", name))?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(failed(OPERATION, "socket", name))?;
    rustix::net::bind(&socket, &address).map_err(failed(OPERATION, "bind", name))?;
    rustix::net::listen(&socket, 1).map_err(failed(OPERATION, "listen", name))?;
    Ok(socket)
}

/// Waits for the master; none when the runtime ends or is late without having sent it, or `give_up` becomes readable
/// or ends.
///
/// # Errors
/// The failing call.
pub(crate) fn accept(
    listener: &OwnedFd,
    running: &Running,
    give_up: Option<BorrowedFd<'_>>,
) -> StepResult<Option<OwnedFd>> {
    if !is_ready(running, listener.as_fd(), give_up)? {
        return Ok(None);
    }
    let connection =
        rustix::net::accept_with(listener, SocketFlags::CLOEXEC).map_err(failed(OPERATION, "accept4", ""))?;
    if !is_ready(running, connection.as_fd(), give_up)? {
        return Ok(None);
    }
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(&connection, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(failed(OPERATION, "recvmsg", ""))?;
    let master = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    master.map(Some).ok_or_else(|| StepError::without_call(Kind::Internal, OPERATION, "", "no terminal was sent"))
}

/// Whether there is something to take, once there is or nothing more will come.
fn is_ready(running: &Running, from: BorrowedFd<'_>, give_up: Option<BorrowedFd<'_>>) -> StepResult<bool> {
    let watched: Vec<BorrowedFd<'_>> = [from, running.pidfd.as_fd()].into_iter().chain(give_up).collect();
    let ready = run::poll_until(running, &watched)?;
    Ok(ready.first() == Some(&true) && ready.get(2) != Some(&true))
}

/// Gives it rows and columns.
///
/// # Errors
/// The errno of the ioctl.
pub(crate) fn size(master: &OwnedFd, rows: u16, columns: u16) -> StepResult<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master, size).map_err(failed("size the terminal", "ioctl", "TIOCSWINSZ"))
}
