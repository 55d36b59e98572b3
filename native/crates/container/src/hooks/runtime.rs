//! Hooks of the runtime's namespaces, in a throw-away process of the monitor's: it is itself in the pod's.

use super::{Call, Status, Subject, run as run_hook};
use crate::error::{StepError, StepResult, failed, io_failed};
use crate::place;
use crate::report::{self, Report};
use crate::spec::{Hook, Hooks, Spec};
use podwright_sys::{clone, signal};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The root is there and not entered: prestart, then createRuntime.
    Create,
    /// The program runs: poststart.
    Started,
    /// The container has ended: poststop. One that fails is told of, and the next one is run.
    Stopped,
}

/// What is to be run, and for whom.
#[derive(Debug)]
pub struct Task<'a> {
    /// When.
    pub moment: Moment,
    /// The container's id.
    pub id: &'a str,
    /// The container's process; 0 when it has ended.
    pub pid: i32,
    /// Directory with config.json.
    pub bundle: &'a str,
    /// The runtime's namespaces, of [`namespaces`].
    pub namespaces: &'a [OwnedFd],
}

/// The namespaces of a process that a monitor may have left: network, ipc and uts.
///
/// # Errors
/// The errno of open: there is no such process.
pub fn namespaces(pid: i32) -> StepResult<Vec<OwnedFd>> {
    let open = |kind: &&str| {
        let path = format!("/proc/{pid}/ns/{kind}");
        rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed("open", "open", path))
    };
    ["net", "ipc", "uts"].iter().map(open).collect()
}

/// Runs the hooks of a moment. For a fresh fork of a process with one thread. [`Report::Started`] says that all went
/// well; [`Report::Failed`] what did not, and then the rest was not run.
pub fn run(task: &Task<'_>, socket: &OwnedFd) -> ! {
    let told = match prepare(task, socket).and_then(|()| run_all(task, socket)) {
        Ok(()) => Report::Started,
        Err(error) => Report::Failed(error),
    };
    // the monitor may have gone
    let sent = report::send(socket, &told, None);
    clone::exit_now(i32::from(sent.is_err()));
}

fn prepare(task: &Task<'_>, socket: &OwnedFd) -> StepResult<()> {
    let keep: Vec<BorrowedFd<'_>> = task.namespaces.iter().map(AsFd::as_fd).chain([socket.as_fd()]).collect();
    place::strip(&keep)?;
    signal::reset_all();
    enter(task.namespaces)
}

/// Makes the calling process, one of a monitor's, what hooks of the runtime's namespaces are started from: in these
/// namespaces, and as easy to be killed for memory as any other process; a monitor is not.
///
/// # Errors
/// The errno of setns; the score cannot be set.
pub fn enter(namespaces: &[OwnedFd]) -> StepResult<()> {
    place::set_oom_score_adj(0)?;
    for namespace in namespaces {
        rustix::thread::move_into_link_name_space(namespace.as_fd(), None).map_err(failed(
            "enter the runtime's namespaces",
            "setns",
            "",
        ))?;
    }
    Ok(())
}

fn run_all(task: &Task<'_>, socket: &OwnedFd) -> StepResult<()> {
    let path = format!("{}/config.json", task.bundle);
    let text = std::fs::read(&path).map_err(io_failed("read", "read", &path))?;
    let spec: Spec = serde_json::from_slice(&text).map_err(|e| StepError::invalid("read", &path, &e.to_string()))?;
    let hooks = spec.hooks.clone().unwrap_or_default();
    let (status, pid) = match task.moment {
        Moment::Create => (Status::Creating, Some(task.pid)),
        Moment::Started => (Status::Running, Some(task.pid)),
        Moment::Stopped => (Status::Stopped, None),
    };
    let state = Subject::new(&spec, task.id, task.bundle).state(status, pid)?;
    // the monitor shuts its end, or has gone with it
    let give_up = Some(socket.as_fd());
    for (kind, hook) in of(task.moment, &hooks) {
        let call = Call { kind, hook, state: &state, directory: task.bundle, prepare: &|| Ok(()), give_up };
        match run_hook(&call) {
            Err(error) if task.moment == Moment::Stopped => report::send(socket, &Report::Note(error.detail), None)?,
            ended => ended?,
        }
    }
    Ok(())
}

/// The hooks of a moment in their order, with their list's name. PURE.
fn of(moment: Moment, hooks: &Hooks) -> Vec<(&'static str, &Hook)> {
    let named = |kind: &'static str, list| <[Hook]>::iter(list).map(move |hook| (kind, hook));
    match moment {
        Moment::Create => {
            named("prestart", &hooks.prestart).chain(named("createRuntime", &hooks.create_runtime)).collect()
        }
        Moment::Started => named("poststart", &hooks.poststart).collect(),
        Moment::Stopped => named("poststop", &hooks.poststop).collect(),
    }
}
