//! A mount that is nowhere and that several containers get copies of. Linux 6.15 and later copy
//! a detached mount; before, a mount can be copied only from within a mount namespace, so one is
//! made that has this mount as its root and nothing else.

use crate::error::{StepError, StepResult, failed};
use crate::mounts::PROC_MAGIC;
use crate::place;
use crate::report::{self, Received, Report};
use crate::root;
use podwright_sys::clone::{self, Forked};
use podwright_sys::{namespace, signal};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, fstatfs, statat};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The mount, or the namespace that holds it.
#[derive(Debug)]
pub struct SharedMount {
    fd: OwnedFd,
    held: bool,
}

/// Where a mount is that can be copied.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    /// Nowhere: the descriptor is the mount's.
    Detached,
    /// The root of the mount namespace behind the descriptor.
    Root,
    /// On /proc there, if it shows this pid namespace.
    Proc(BorrowedFd<'a>),
}

/// A borrowed [`SharedMount`].
#[derive(Debug, Clone, Copy)]
pub struct SharedMountRef<'a> {
    /// The mount or the namespace.
    pub fd: BorrowedFd<'a>,
    place: Place<'a>,
}

impl SharedMount {
    /// Takes a detached mount, and makes a namespace for it where that is needed.
    ///
    /// # Errors
    /// The failing call.
    pub fn new(mount: OwnedFd) -> StepResult<Self> {
        if copy(mount.as_fd()).is_ok() {
            return Ok(Self { fd: mount, held: false });
        }
        Self::hold(mount)
    }

    /// Makes a namespace for it in any case.
    ///
    /// # Errors
    /// The failing call.
    pub fn hold(mount: OwnedFd) -> StepResult<Self> {
        Ok(Self { fd: holder(&mount)?, held: true })
    }

    /// To hand to a child.
    pub fn borrow(&self) -> SharedMountRef<'_> {
        let place = if self.held { Place::Root } else { Place::Detached };
        SharedMountRef { fd: self.fd.as_fd(), place }
    }
}

impl<'a> SharedMountRef<'a> {
    /// The /proc of a running container, by its mount namespace; `pids` is the pid namespace it must show.
    pub fn proc_of(mounts: BorrowedFd<'a>, pids: BorrowedFd<'a>) -> Self {
        Self { fd: mounts, place: Place::Proc(pids) }
    }

    /// Descriptors that a copy needs.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'a>> {
        match self.place {
            Place::Proc(pids) => vec![self.fd, pids],
            _ => vec![self.fd],
        }
    }

    /// A detached copy. The calling process must have one thread and the host's /proc; its root
    /// and working directory become those of its mount namespace.
    ///
    /// # Errors
    /// The failing call.
    pub fn copy(&self) -> StepResult<OwnedFd> {
        if let Place::Detached = self.place {
            return copy(self.fd);
        }
        let file = "/proc/self/ns/mnt";
        let here = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "open the mount namespace",
            "open",
            file,
        ))?;
        enter(self.fd)?;
        let tree = match self.place {
            Place::Proc(pids) => copy_proc(pids),
            _ => open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
                .map_err(failed("copy the shared mount", "open_tree", "/")),
        };
        enter(here.as_fd())?;
        tree
    }
}

/// What the container has on /proc may have been changed by it: a copy is made only of a procfs whose
/// first process is in the pid namespace.
fn copy_proc(pids: BorrowedFd<'_>) -> StepResult<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let proc_dir = rustix::fs::open("/proc", flags, Mode::empty()).map_err(failed("open", "open", "/proc"))?;
    let kind = fstatfs(&proc_dir).map_err(failed("look at", "fstatfs", "/proc"))?.f_type;
    let wanted = fstat(pids).map_err(failed("look at the pid namespace", "fstat", ""))?;
    let shown = statat(&proc_dir, "1/ns/pid", AtFlags::empty());
    if kind as i64 != PROC_MAGIC || !shown.is_ok_and(|s| (s.st_dev, s.st_ino) == (wanted.st_dev, wanted.st_ino)) {
        let why = "in the container whose pid namespace is joined it does not show that namespace any more";
        return Err(StepError::invalid("copy", "/proc", why));
    }
    crate::sources::clone_tree(proc_dir.as_fd(), false, "/proc")
}

fn enter(namespace: BorrowedFd<'_>) -> StepResult<()> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Mount)).map_err(failed(
        "enter the mount namespace",
        "setns",
        "",
    ))
}

fn copy(mount: BorrowedFd<'_>) -> StepResult<OwnedFd> {
    crate::sources::clone_tree(mount, false, "the shared mount")
}

/// A mount namespace whose root is `mount`.
fn holder(mount: &OwnedFd) -> StepResult<OwnedFd> {
    let (ours, theirs) = report::pair()?;
    let Forked::Parent(pid) = clone::fork(0, None)? else {
        let said = match become_holder(mount, &theirs) {
            Ok(()) => Report::Note(String::new()),
            Err(error) => Report::Failed(error),
        };
        // without a hearer there is nothing to hold for
        let _ = report::send(&theirs, &said, None);
        // the namespace is looked up while this process lives: until the other end closes
        let _ = rustix::io::read(&theirs, &mut [0_u8; 1]);
        clone::exit_now(0);
    };
    drop(theirs);
    let limit = Some(Duration::from_secs(10));
    rustix::net::sockopt::set_socket_timeout(&ours, rustix::net::sockopt::Timeout::Recv, limit).map_err(failed(
        "hold the shared mount",
        "setsockopt",
        "",
    ))?;
    let heard = report::receive(&ours, true);
    let path = format!("/proc/{pid}/ns/mnt");
    let namespace = match heard {
        Ok(Received::Message(Report::Failed(error), _)) => Err(error),
        Ok(_) => rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "open the mount namespace",
            "open",
            path,
        )),
        Err(error) => Err(error),
    };
    // our child, not reaped yet: it may have ended already
    let _ = signal::send(pid, 9);
    namespace
}

fn become_holder(mount: &OwnedFd, socket: &OwnedFd) -> StepResult<()> {
    place::strip(&[mount.as_fd(), socket.as_fd()])?;
    signal::reset_all();
    namespace::unshare(namespace::MOUNT)?;
    root::make_private()?;
    // any directory will do, and /proc is everywhere
    move_mount(mount, "", CWD, "/proc", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(failed(
        "mount",
        "move_mount",
        "/proc",
    ))?;
    root::pivot(mount.as_fd())
}
