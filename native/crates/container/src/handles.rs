//! The descriptors that a child is given: what it must have although it closes everything.

use crate::error::{StepResult, failed};
use crate::paths;
use crate::shared_mount::SharedMountRef;
use crate::users::Users;
use podwright_sys::clone;
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::process::Uid;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Descriptors of an init or exec child.
#[derive(Debug)]
pub struct Handles<'a> {
    /// The way to the monitor.
    pub socket: BorrowedFd<'a>,
    /// Standard input; none: /dev/null.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output; none: /dev/null, until there is a terminal.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Standard error; none: /dev/null, until there is a terminal.
    pub stderr: Option<BorrowedFd<'a>>,
    /// The pod's pid namespace, when pids are shared.
    pub pid_namespace: Option<BorrowedFd<'a>>,
    /// A mount of /proc that shows it.
    pub proc_mount: Option<SharedMountRef<'a>>,
    /// The pod's /dev/shm.
    pub shm: Option<SharedMountRef<'a>>,
    /// The process whose namespaces an exec joins (a pidfd).
    pub target: Option<BorrowedFd<'a>>,
    /// The pod's user namespace, when it has one.
    pub users: Option<Users<'a>>,
}

impl<'a> Handles<'a> {
    /// Only the way to the monitor.
    pub fn new(socket: BorrowedFd<'a>) -> Self {
        Self {
            socket,
            stdin: None,
            stdout: None,
            stderr: None,
            pid_namespace: None,
            proc_mount: None,
            shm: None,
            target: None,
            users: None,
        }
    }

    /// All of them.
    pub fn list(&self) -> Vec<BorrowedFd<'a>> {
        let users = self.users.map(|u| u.namespace);
        let optional = [self.stdin, self.stdout, self.stderr, self.pid_namespace, self.target, users];
        let shared = [self.proc_mount, self.shm].into_iter().flatten().flat_map(|mount| mount.descriptors());
        std::iter::once(self.socket).chain(optional.into_iter().flatten()).chain(shared).collect()
    }

    /// Makes the standard streams what they shall be.
    ///
    /// # Errors
    /// The failing call.
    pub fn set_streams(&self) -> StepResult<()> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "open",
            "open",
            "/dev/null",
        ))?;
        for (number, stream) in [(0, self.stdin), (1, self.stdout), (2, self.stderr)] {
            clone::set_standard_stream(stream.unwrap_or(null.as_fd()), number)?;
        }
        Ok(())
    }
}

/// Makes a terminal's slave all three standard streams.
///
/// # Errors
/// The errno of dup2.
pub fn set_terminal_streams(slave: &OwnedFd) -> StepResult<()> {
    for number in 0..=2 {
        clone::set_standard_stream(slave.as_fd(), number)?;
    }
    Ok(())
}

/// Replaces those of the standard streams that are the host's /dev/null by the container's own: as its root, the process
/// could otherwise change mode and owner of the host's. To be called with the container's root as this process's. A
/// container without such a device keeps what it has.
///
/// # Errors
/// The failing call.
pub fn own_null() -> StepResult<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).map_err(failed("open", "open", "/"))?;
    let name = "/dev/null";
    // looked at first: opening another kind of file might wait
    if !paths::open(root.as_fd(), name).is_ok_and(|fd| is_null(&fd)) {
        return Ok(());
    }
    let Ok(null) = paths::open_with(root.as_fd(), name, OFlags::RDWR | OFlags::NOCTTY) else { return Ok(()) };
    if !is_null(&null) {
        return Ok(());
    }
    for (number, stream) in [(0, rustix::stdio::stdin()), (1, rustix::stdio::stdout()), (2, rustix::stdio::stderr())] {
        if is_null(stream) {
            clone::set_standard_stream(null.as_fd(), number)?;
        }
    }
    Ok(())
}

/// Whether it is the character device 1:3 (Linux allocated devices, null(4)).
fn is_null(fd: impl AsFd) -> bool {
    let null = rustix::fs::makedev(1, 3);
    fstat(fd).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::CharacterDevice && s.st_rdev == null)
}

/// Gives the pipes among the standard streams to a user of the host, the process's, who may open them again by their
/// names in /dev.
///
/// # Errors
/// The failing call.
pub fn own_streams(uid: u32) -> StepResult<()> {
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let stat = fstat(stream).map_err(failed("look at a standard stream", "fstat", ""))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != uid {
            rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), None).map_err(failed(
                "own a standard stream",
                "fchown",
                "",
            ))?;
        }
    }
    Ok(())
}
