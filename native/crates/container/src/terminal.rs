//! Terminals of containers and execs: from the container's own devpts, the master for the monitor; a container's is
//! bound as /dev/console.

use crate::error::{StepError, StepResult, failed};
use crate::mounts::attach_at;
use crate::paths::{self, Missing};
use crate::sources::clone_tree;
use rustix::fs::{FileType, OFlags, fstat, fstatfs};
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

/// Where a devpts makes terminals.
const MULTIPLEXER: &str = "/dev/pts/ptmx";

/// `f_type` of devpts (statfs(2)).
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// What is there may be the work of a running container, and what the monitor reads and writes must never make it wait:
/// only the multiplexer (5:2) of a devpts will do.
fn check(file: &OwnedFd) -> StepResult<()> {
    let look = |call| failed("look at", call, MULTIPLEXER);
    let stat = fstat(file).map_err(look("fstat"))?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    let is_it = is_device && stat.st_rdev == rustix::fs::makedev(5, 2);
    // others are not asked, who may not answer
    if is_it && fstatfs(file).map_err(look("fstatfs"))?.f_type as i64 == DEVPTS_MAGIC {
        return Ok(());
    }
    Err(StepError::invalid("open terminal", MULTIPLEXER, "in the container it is not that of a devpts"))
}

/// Opens a terminal on the root's devpts, owned by `uid`, with a first size of rows and columns.
///
/// # Errors
/// The failing call; no devpts at /dev/pts is ENOENT of openat2; something else there.
pub(crate) fn open(root: BorrowedFd<'_>, uid: u32, size: Option<(u16, u16)>) -> StepResult<Terminal> {
    let opening = || failed("open terminal", "openat2", MULTIPLEXER);
    // looked at first: opening another kind of file might wait
    check(&paths::open(root, MULTIPLEXER).map_err(opening())?)?;
    let master = paths::open_with(root, MULTIPLEXER, OFlags::RDWR | OFlags::NOCTTY).map_err(opening())?;
    check(&master)?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use rustix::fs::Mode;

    #[test]
    fn only_the_multiplexer_of_a_devpts_is_one() {
        let dir = std::env::temp_dir().join(format!("podwright-terminal-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("dev/pts")).unwrap();
        std::fs::write(dir.join("dev/pts/ptmx"), "").unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&dir, flags, Mode::empty()).unwrap();
        let error = open(root.as_fd(), 0, None).unwrap_err();
        assert_eq!((error.kind, error.syscall.as_str()), (Kind::Invalid, ""));
        std::fs::remove_dir_all(dir).unwrap();
        // the host's is one
        let host = rustix::fs::open("/", flags, Mode::empty()).unwrap();
        if paths::open(host.as_fd(), MULTIPLEXER).is_ok() {
            open(host.as_fd(), rustix::process::getuid().as_raw(), Some((24, 80))).unwrap();
        }
    }
}
