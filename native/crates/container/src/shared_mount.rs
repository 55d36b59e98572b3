//! A mount that is nowhere and that several containers get copies of. Linux 6.15 and later copy
//! a detached mount; before, a mount can be copied only from within a mount namespace, so one is
//! made that has this mount as its root and nothing else.

use crate::error::{StepResult, failed};
use crate::place;
use crate::report::{self, Received, Report};
use crate::root;
use podwright_sys::clone::{self, Forked};
use podwright_sys::{namespace, signal};
use rustix::fs::{CWD, Mode, OFlags};
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

/// A borrowed [`SharedMount`].
#[derive(Debug, Clone, Copy)]
pub struct SharedMountRef<'a> {
    /// The mount or the namespace.
    pub fd: BorrowedFd<'a>,
    held: bool,
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
        SharedMountRef { fd: self.fd.as_fd(), held: self.held }
    }
}

impl SharedMountRef<'_> {
    /// A detached copy. The calling process must have one thread and the host's /proc; its root
    /// and working directory become those of its mount namespace.
    ///
    /// # Errors
    /// The failing call.
    pub fn copy(&self) -> StepResult<OwnedFd> {
        if !self.held {
            return copy(self.fd);
        }
        let file = "/proc/self/ns/mnt";
        let here = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "open the mount namespace",
            "open",
            file,
        ))?;
        enter(self.fd)?;
        let tree = open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
            .map_err(failed("copy the shared mount", "open_tree", "/"));
        enter(here.as_fd())?;
        tree
    }
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
