//! A pod's user namespace: making it with the namespaces it owns, entering it, showing files by its ids.

use crate::credentials;
use crate::error::{Kind, StepError, StepResult, failed, io_failed};
use crate::ids::IdMaps;
use crate::place;
use crate::report::{self, Received, Report};
use crate::sysctl;
use podwright_sys::clone::{self, Forked};
use podwright_sys::{mount_attr, namespace, signal};
use rustix::fs::{Mode, OFlags};
use rustix::process::DumpableBehavior;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How long its child may take, in seconds: it makes a handful of calls.
const LIMIT_SECONDS: u64 = 10;

/// A pod's user namespace, to hand to a child.
#[derive(Debug, Clone, Copy)]
pub struct Users<'a> {
    /// The namespace.
    pub namespace: BorrowedFd<'a>,
    /// Its ids.
    pub maps: IdMaps,
}

/// What is made with a user namespace, and set in it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its ids.
    pub maps: IdMaps,
    /// A network namespace of its own.
    pub net: bool,
    /// An ipc namespace of its own.
    pub ipc: bool,
    /// A uts namespace of its own.
    pub uts: bool,
    /// Parameters of those namespaces: name and value.
    pub sysctls: &'a [(String, String)],
}

/// A user namespace and the namespaces it owns.
#[derive(Debug)]
pub struct Made {
    /// The user namespace.
    pub user: OwnedFd,
    /// The others: a descriptor each, of those that were wanted.
    pub owned: Vec<(LinkNameSpaceType, OwnedFd)>,
}

/// Makes a user namespace and the namespaces that are to belong to it. A short-lived child, which the caller reaps, is
/// born in all but the ipc namespace: that one it makes as root of the user namespace, for the root directory of its
/// message queues belongs to its maker, and nobody may label what an unmapped id owns. Parameters of an ipc namespace can
/// be set only by its owner's root, so it sets them too.
///
/// # Errors
/// The failing call, of the child too.
pub fn make(wanted: &Wanted<'_>) -> StepResult<Made> {
    let (ours, theirs) = report::pair()?;
    let flags = [(wanted.net, clone::NEWNET), (wanted.uts, clone::NEWUTS)];
    let flags = flags.iter().filter(|(own, _)| *own).fold(clone::NEWUSER, |all, (_, flag)| all | flag);
    let Forked::Parent(pid) = clone::fork(flags, None)? else {
        drop(ours);
        live_inside(wanted, &theirs);
    };
    drop(theirs);
    let made = fill(pid, wanted, &ours);
    // our child, not reaped yet: it waits to be let go, and may have ended
    let _ = signal::send(pid, 9);
    made
}

fn fill(pid: i32, wanted: &Wanted<'_>, socket: &OwnedFd) -> StepResult<Made> {
    for (file, range) in [("uid_map", wanted.maps.uids), ("gid_map", wanted.maps.gids)] {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, range.line()).map_err(io_failed("map ids of the user namespace", "write", path))?;
    }
    rustix::io::write(socket, &[0]).map_err(failed("make the user namespace", "write", ""))?;
    let limit = Some(Duration::from_secs(LIMIT_SECONDS));
    rustix::net::sockopt::set_socket_timeout(socket, rustix::net::sockopt::Timeout::Recv, limit).map_err(failed(
        "make the user namespace",
        "setsockopt",
        "",
    ))?;
    match report::receive(socket, true)? {
        Received::Message(Report::Failed(error), _) => return Err(error),
        Received::Message(..) => {}
        Received::End => return Err(gone("its first process ended")),
        Received::Nothing => return Err(gone("its first process hangs")),
    }
    let open = |name: &str| {
        let path = format!("/proc/{pid}/ns/{name}");
        rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
            "open the namespace",
            "open",
            path,
        ))
    };
    let kinds = [
        (wanted.net, "net", LinkNameSpaceType::Network),
        (wanted.ipc, "ipc", LinkNameSpaceType::InterProcessCommunication),
        (wanted.uts, "uts", LinkNameSpaceType::HostNameAndNISDomainName),
    ];
    let mut owned = Vec::new();
    for (_, name, kind) in kinds.into_iter().filter(|(own, ..)| *own) {
        owned.push((kind, open(name)?));
    }
    Ok(Made { user: open("user")?, owned })
}

fn gone(why: &str) -> StepError {
    StepError::without_call(Kind::Internal, "make the user namespace", "", why)
}

/// The child's way: waits for its ids, makes and sets what only it can, and waits for its end.
fn live_inside(wanted: &Wanted<'_>, socket: &OwnedFd) -> ! {
    let mut byte = [0];
    let said = place::strip(&[socket.as_fd()]).and_then(|()| {
        signal::reset_all();
        match rustix::io::read(socket, &mut byte) {
            Ok(1) => {}
            _ => clone::exit_now(1), // the monitor has given up
        }
        become_root()?;
        if wanted.ipc {
            namespace::unshare(namespace::IPC)?;
        }
        wanted.sysctls.iter().try_for_each(|(name, value)| sysctl::write(name, value))
    });
    let said = said.map_or_else(Report::Failed, |()| Report::Note(String::new()));
    // the namespaces are looked up while this process lives: until the other end closes or kills it
    if report::send(socket, &said, None).is_ok() {
        let _ = rustix::io::read(socket, &mut byte);
    }
    clone::exit_now(0)
}

/// Root of the user namespace the process is in: until then it has no id there, and makes no files.
fn become_root() -> StepResult<()> {
    credentials::become_root()?;
    // a change of ids resets it (proc(5), suid_dumpable)
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed(
        "make the process not dumpable",
        "prctl",
        "",
    ))
}

impl Users<'_> {
    /// Enters the namespace as its root. The process must have one thread.
    ///
    /// # Errors
    /// The failing call.
    pub fn enter(&self) -> StepResult<()> {
        move_into_link_name_space(self.namespace, Some(LinkNameSpaceType::User)).map_err(failed(
            "enter the user namespace",
            "setns",
            "",
        ))?;
        become_root()
    }

    /// To be called by a process that entered it by another way.
    ///
    /// # Errors
    /// The failing call.
    pub fn entered() -> StepResult<()> {
        become_root()
    }

    /// Shows files by the namespace's ids through a mount that is nowhere yet; `recursive`: with the mounts below it.
    ///
    /// # Errors
    /// The file system has no idmapped mounts (it is never changed in place instead); the errno of mount_setattr.
    pub fn map_mount(&self, mount: BorrowedFd<'_>, path: &str, recursive: bool) -> StepResult<()> {
        mount_attr::map_ids(mount, self.namespace, recursive).map_err(|e| {
            if e.errno != rustix::io::Errno::INVAL.raw_os_error() {
                let mut error = StepError::from(e);
                error.object = path.into();
                return error;
            }
            let why = "its file system has no idmapped mounts, which a pod with a user namespace needs";
            let mut error = StepError::unsupported("mount", path, why);
            (error.syscall, error.errno) = (e.syscall.into(), e.errno);
            error
        })
    }

    /// The host's user and group for ones of the namespace.
    ///
    /// # Errors
    /// They are not mapped.
    pub fn outside(&self, uid: u32, gid: u32) -> StepResult<(u32, u32)> {
        let refuse = |kind: &str, id: u32| {
            StepError::invalid("set user", &format!("{kind} {id}"), "it is not mapped in the pod's user namespace")
        };
        let uids = self.maps.uids.outside_of(uid).ok_or_else(|| refuse("uid", uid))?;
        Ok((uids, self.maps.gids.outside_of(gid).ok_or_else(|| refuse("gid", gid))?))
    }
}
