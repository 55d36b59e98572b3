//! The init of a shared pid namespace: reaps what is orphaned there and holds it open. It has no
//! capability, no descriptor, an empty root, and a memory of its own (it is a fresh exec).

use crate::credentials;
use crate::error::{Kind, StepError, StepResult, failed};
use crate::handover;
use crate::place::{self, Place};
use crate::report::{self, Received, Report};
use crate::shared_mount::SharedMount;
use crate::users::Users;
use podwright_sys::clone::{self, Forked};
use podwright_sys::exec::Program;
use podwright_sys::{namespace, signal};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsmount, fsopen, move_mount,
};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Who the pause process runs as: nobody.
const NOBODY: u32 = 65534;

/// A running pause process.
#[derive(Debug)]
pub struct Pause {
    /// Its pid.
    pub pid: i32,
    /// Its pid namespace.
    pub namespace: OwnedFd,
    /// A mount of /proc that shows this namespace.
    pub proc_mount: SharedMount,
    /// What was clamped.
    pub notes: Vec<String>,
}

/// Starts the pause process in a new pid namespace, which belongs to `users` if there is one, and waits until it is what
/// it should be. A child of the caller, who reaps it.
///
/// # Errors
/// The failing step; the process is killed then.
pub fn start(place: &Place, oom_score_adj: i32, users: Option<Users<'_>>) -> StepResult<Pause> {
    let (ours, theirs) = report::pair()?;
    let (forked, born_there) = place::fork_into(place, if users.is_some() { 0 } else { clone::NEWPID })?;
    let Forked::Parent(mut pid) = forked else {
        let error = become_pause(&Birth { place, born_there, oom_score_adj, users }, &theirs);
        let told = report::send(&theirs, &Report::Failed(error), None);
        clone::exit_now(if told.is_ok() { 1 } else { 2 });
    };
    drop(theirs);
    hear(&mut pid, &ours).inspect_err(|_| {
        // It may have ended by itself; the caller's reaper takes it either way.
        let _ = signal::send(pid, 9);
    })
}

/// How a pause process comes about.
struct Birth<'a> {
    place: &'a Place,
    born_there: bool,
    oom_score_adj: i32,
    users: Option<Users<'a>>,
}

fn hear(pid: &mut i32, socket: &OwnedFd) -> StepResult<Pause> {
    let limit = Some(Duration::from_secs(10));
    rustix::net::sockopt::set_socket_timeout(socket, rustix::net::sockopt::Timeout::Recv, limit).map_err(failed(
        "start the pause process",
        "setsockopt",
        "",
    ))?;
    let mut proc_mount = None;
    let mut notes = Vec::new();
    loop {
        match report::receive(socket, true)? {
            Received::Message(Report::Proc, fd) => proc_mount = fd,
            Received::Message(Report::Note(note), _) => notes.push(note),
            Received::Message(Report::Process { pid: child, .. }, _) => *pid = child,
            Received::Message(Report::Failed(error), _) => return Err(error),
            Received::Message(..) => {}
            Received::End => break,
            Received::Nothing => {
                return Err(StepError::without_call(Kind::Internal, "start the pause process", "", "it hangs"));
            }
        }
    }
    let Some(proc_mount) = proc_mount else {
        return Err(StepError::without_call(Kind::Internal, "start the pause process", "", "it ended"));
    };
    let pid = *pid;
    let path = format!("/proc/{pid}/ns/pid");
    let namespace = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
        "open the pid namespace",
        "open",
        &path,
    ))?;
    Ok(Pause { pid, namespace, proc_mount: SharedMount::new(proc_mount)?, notes })
}

/// The child's way; returns only an error.
fn become_pause(birth: &Birth<'_>, socket: &OwnedFd) -> StepError {
    match prepare(birth, socket) {
        Ok((program, words)) => {
            let errno = words.exec_fd(program.as_fd());
            failed("start the pause process", "execveat", "")(rustix::io::Errno::from_raw_os_error(errno))
        }
        Err(error) => error,
    }
}

fn prepare(birth: &Birth<'_>, socket: &OwnedFd) -> StepResult<(OwnedFd, Program)> {
    let namespace = birth.users.map(|u| u.namespace);
    place::strip(&std::iter::once(socket.as_fd()).chain(namespace).collect::<Vec<_>>())?;
    place::enter(birth.place, birth.born_there)?;
    if let Some(note) = place::set_oom_score_adj(birth.oom_score_adj)? {
        report::send(socket, &Report::Note(note), None)?;
    }
    let program = rustix::fs::open("/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
        "open the program",
        "open",
        "/proc/self/exe",
    ))?;
    if let Some(users) = &birth.users {
        users.enter()?;
        handover::to_child(socket.as_fd(), clone::NEWPID)?;
        // its root mounts only in mount namespaces of its own
        namespace::unshare(namespace::MOUNT)?;
    }
    let proc_mount = detached("proc", MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)?;
    report::send(socket, &Report::Proc, Some(proc_mount.as_fd()))?;
    empty_root()?;
    let (uid, gid) =
        birth.users.map_or((NOBODY, NOBODY), |u| (u.maps.uids.nearest(NOBODY), u.maps.gids.nearest(NOBODY)));
    credentials::become_nobody(uid, gid)?;
    let words = Program::new(&["podwright-pause".into(), "pause".into()], &[])?;
    Ok((program, words))
}

fn detached(kind: &'static str, attributes: MountAttrFlags) -> StepResult<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("mount", "fsopen", kind))?;
    fsconfig_create(&context).map_err(failed("mount", "fsconfig", kind))?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed("mount", "fsmount", kind))
}

/// A mount namespace with nothing in it.
fn empty_root() -> StepResult<()> {
    namespace::unshare(namespace::MOUNT)?;
    crate::root::make_private()?;
    let root = detached("tmpfs", MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    // any directory will do, and /proc is everywhere
    move_mount(&root, "", rustix::fs::CWD, "/proc", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(failed(
        "mount",
        "move_mount",
        "/proc",
    ))?;
    crate::root::pivot(root.as_fd())
}

/// The `pause` stage: what runs after the exec. Children that end are reaped by the kernel
/// because SIGCHLD is ignored; as the init of its namespace only SIGKILL from outside ends it.
pub fn run() -> ! {
    // only for people who look at it; without it the process has the program's name
    let _ = rustix::thread::set_name(c"podwright-pause");
    signal::reap_automatically();
    loop {
        rustix::event::pause();
    }
}
