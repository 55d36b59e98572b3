//! Terminals of containers and execs: from the container's own devpts, the master for the monitor; a container's is
//! bound as /dev/console.

use crate::error::{StepResult, failed};
use crate::mounts::attach_at;
use crate::paths::{self, Missing};
use crate::sources::clone_tree;
use rustix::fs::OFlags;
use rustix::process::Uid;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Both ends of a terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// The monitor's end.
    pub master: OwnedFd,
    /// The process's end.
    pub slave: OwnedFd,
}

/// Opens a terminal on the root's devpts, owned by `uid`, with a first size of rows and columns.
///
/// # Errors
/// The failing call; no devpts at /dev/pts is ENOENT of openat2.
pub(crate) fn open(root: BorrowedFd<'_>, uid: u32, size: Option<(u16, u16)>) -> StepResult<Terminal> {
    let master = paths::open_with(root, "/dev/pts/ptmx", OFlags::RDWR | OFlags::NOCTTY).map_err(failed(
        "open terminal",
        "openat2",
        "/dev/pts/ptmx",
    ))?;
    rustix::pty::unlockpt(&master).map_err(failed("open terminal", "ioctl", "TIOCSPTLCK"))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave =
        rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(failed("open terminal", "ioctl", "TIOCGPTPEER"))?;
    rustix::fs::fchown(&slave, Some(Uid::from_raw(uid)), None).map_err(failed("own terminal", "fchown", ""))?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&slave, size).map_err(failed("size terminal", "ioctl", "TIOCSWINSZ"))?;
    }
    Ok(Terminal { master, slave })
}

/// Binds a terminal on the root's /dev/console.
///
/// # Errors
/// The failing call.
pub(crate) fn bind_console(root: BorrowedFd<'_>, terminal: &Terminal) -> StepResult<()> {
    let tree = clone_tree(terminal.slave.as_fd(), false, "the terminal")?;
    let console = paths::open_or_make(root, "/dev/console", Missing::File)?;
    attach_at(tree.as_fd(), console.as_fd(), "/dev/console")
}
