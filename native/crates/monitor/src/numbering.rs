//! Whose pid namespace a container's processes are numbered in.

use crate::container::Phase;
use crate::reply::failure;
use crate::sandbox::Sandbox;
use crate::server::Monitor;
use podwright_container::handles::Handles;
use podwright_container::request::PidMode;
use podwright_container::shared_mount::SharedMountRef;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{CreateContainer, Failure, NamespaceMode};
use rustix::fs::{CWD, Mode, OFlags, fstat, statat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

const OPERATION: &str = "join the pid namespace";

/// A pid namespace and how it is reached.
#[derive(Debug)]
pub(crate) enum Numbering {
    /// The container's own.
    Own,
    /// The pod's: the pause process is its init.
    Pod,
    /// The host's.
    Host,
    /// Another container's own.
    Target {
        /// The pid namespace.
        pids: OwnedFd,
        /// The mount namespace of the other container, whose /proc shows it.
        mounts: OwnedFd,
    },
}

impl Numbering {
    /// As the init child is told.
    pub(crate) fn mode(&self) -> PidMode {
        match self {
            Self::Own => PidMode::Own,
            Self::Pod | Self::Target { .. } => PidMode::Shared,
            Self::Host => PidMode::Host,
        }
    }

    /// Gives the init child what it needs to enter.
    pub(crate) fn hand_to<'a>(&'a self, handles: &mut Handles<'a>, sandbox: &'a Sandbox) {
        match self {
            Self::Own | Self::Host => {}
            Self::Pod => {
                handles.pid_namespace = sandbox.pause.as_ref().map(|p| p.namespace.as_fd());
                handles.proc_mount = sandbox.pause.as_ref().map(|p| p.proc_mount.borrow());
            }
            Self::Target { pids, mounts } => {
                handles.pid_namespace = Some(pids.as_fd());
                handles.proc_mount = Some(SharedMountRef::proc_of(mounts.as_fd(), pids.as_fd()));
            }
        }
    }
}

impl Monitor {
    /// What a request for a container asks for.
    pub(crate) fn numbering(&self, sandbox: &Sandbox, request: &CreateContainer) -> Result<Numbering, Box<Failure>> {
        if !request.target_container_id.is_empty() {
            return self.numbering_of(sandbox, &request.target_container_id);
        }
        match request.pid() {
            NamespaceMode::Container => Ok(Numbering::Own),
            NamespaceMode::Node if sandbox.users().is_some() => {
                let text = "the host's pid namespace is not for a pod with a user namespace";
                Err(failure(Kind::Invalid, OPERATION, &request.container_id, text))
            }
            NamespaceMode::Node => Ok(Numbering::Host),
            NamespaceMode::Pod if sandbox.pause.is_some() => Ok(Numbering::Pod),
            NamespaceMode::Pod => {
                let text = "the sandbox has no pid namespace to share";
                Err(failure(Kind::Invalid, OPERATION, &request.container_id, text))
            }
        }
    }

    /// The one that a running container's process is in. That process is our child and not reaped, so its
    /// pid is still its own.
    fn numbering_of(&self, sandbox: &Sandbox, id: &str) -> Result<Numbering, Box<Failure>> {
        let refuse = |kind, text: &str| failure(kind, OPERATION, id, format!("target container {id} {text}"));
        let key = self.container_key(id).ok_or_else(|| refuse(Kind::NotFound, "is not in this pod"))?;
        let running = self.containers.get(&key).filter(|c| c.phase == Phase::Running && c.is_alive());
        let pid = running.ok_or_else(|| refuse(Kind::FailedPrecondition, "does not run"))?.pid;
        let open = |name: &str| {
            rustix::fs::open(format!("/proc/{pid}/ns/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        };
        // it may end at any moment
        let ended = |_: Errno| refuse(Kind::FailedPrecondition, "has ended");
        let pids = open("pid").map_err(ended)?;
        let inode = fstat(&pids).map_err(ended)?.st_ino;
        if statat(CWD, "/proc/self/ns/pid", rustix::fs::AtFlags::empty()).is_ok_and(|own| own.st_ino == inode) {
            return Ok(Numbering::Host);
        }
        let pods = sandbox.pause.as_ref().and_then(|p| fstat(&p.namespace).ok());
        if pods.is_some_and(|pod| pod.st_ino == inode) {
            return Ok(Numbering::Pod);
        }
        Ok(Numbering::Target { pids, mounts: open("mnt").map_err(ended)? })
    }
}
