//! The exec child: enters a running container's namespaces and becomes a program there.

use crate::apparmor;
use crate::error::{StepError, StepResult, failed, io_failed};
use crate::handles::{Handles, set_terminal_streams};
use crate::launch::{self, Origin, Way};
use crate::place::{self, Place};
use crate::process::process_plan;
use crate::report::{self, Report};
use crate::request::Filter;
use crate::selinux;
use crate::spec::Process;
use crate::terminal;
use crate::users::Users;
use podwright_sys::{clone, signal};
use rustix::fs::{Mode, OFlags};
use rustix::thread::ThreadNameSpaceType;
use std::os::fd::AsFd;

/// One exec.
#[derive(Debug, Clone, Default)]
pub struct JoinRequest {
    /// The runtime-spec's process object as JSON.
    pub process: String,
    /// Its cgroups.
    pub place: Place,
    /// The pid of the container's process.
    pub pid: i32,
    /// Its seccomp filter.
    pub filter: Filter,
    /// It gets a terminal of the container's devpts.
    pub terminal: bool,
    /// The terminal's first rows and columns; none: what the process object says, or the kernel's.
    pub size: Option<(u16, u16)>,
}

/// Exit code of a child that did not become the program.
const FAILED: i32 = 128;

/// Joins the container of [`Handles::target`] and runs the program. For a fresh fork of a
/// process with one thread. The process that runs the program is another one, reported with
/// [`Report::Process`].
pub fn run(request: &JoinRequest, handles: &Handles<'_>, born_in_cgroup: bool) -> ! {
    let error = match join(request, handles, born_in_cgroup) {
        Ok(error) | Err(error) => error,
    };
    // The monitor may have gone; there is nobody else to tell.
    let _ = report::send(handles.socket, &Report::Failed(error), None);
    clone::exit_now(FAILED)
}

fn join(request: &JoinRequest, handles: &Handles<'_>, born_in_cgroup: bool) -> StepResult<StepError> {
    place::strip(&handles.list())?;
    signal::reset_all();
    let origin = Origin::here()?;
    place::enter_beside(&request.place, born_in_cgroup, request.pid)?;
    handles.set_streams()?;
    let process: Process =
        serde_json::from_str(&request.process).map_err(|e| StepError::invalid("read", "process", &e.to_string()))?;
    if process.terminal && !request.terminal {
        return Err(StepError::unsupported("read", "process.terminal", "this exec has no terminal"));
    }
    let plan = process_plan(&process, &request.filter)?;
    let score = match plan.oom_score_adj {
        Some(score) => score,
        None => score_of(request.pid)?,
    };
    // what could not be set was told when the container was made
    place::set_oom_score_adj(score)?;
    apparmor::set_on_exec(&plan.apparmor)?;
    selinux::need_for("process.selinuxLabel", &plan.selinux)?;
    selinux::set_on_exec(&plan.selinux)?;
    let users = handles.users;
    if let Some(users) = &users {
        launch::prepare_outside(&plan, users)?;
    }
    let target = handles.target.ok_or_else(|| StepError::invalid("join", "container", "its process is missing"))?;
    let mut namespaces = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    if users.is_some() {
        namespaces |= ThreadNameSpaceType::USER;
    }
    rustix::thread::move_into_thread_name_spaces(target, namespaces).map_err(failed(
        "join the container's namespaces",
        "setns",
        request.pid.to_string(),
    ))?;
    let origin = match &users {
        None => origin,
        Some(_) => {
            Users::entered()?;
            origin.in_user_namespace()?
        }
    };
    if request.terminal {
        let size = request.size.or_else(|| process.console_size.map(|s| (s.height, s.width)));
        open_terminal(handles, process.user.uid, size)?;
    }
    launch::prepare(&plan, users.is_some())?;
    let way = Way { socket: handles.socket, fork: true, pid_namespace: None, terminal: request.terminal, hooks: None };
    Ok(launch::launch(&plan, &origin, way))
}

/// To be called in the container's mount namespace, whose root is this process's by now.
fn open_terminal(handles: &Handles<'_>, uid: u32, size: Option<(u16, u16)>) -> StepResult<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).map_err(failed("open", "open", "/"))?;
    let terminal = terminal::open(root.as_fd(), uid, size)?;
    report::send(handles.socket, &Report::Terminal, Some(terminal.master.as_fd()))?;
    set_terminal_streams(&terminal.slave)
}

fn score_of(pid: i32) -> StepResult<i32> {
    let file = format!("/proc/{pid}/oom_score_adj");
    let text = std::fs::read_to_string(&file).map_err(io_failed("read", "read", &file))?;
    Ok(text.trim().parse().unwrap_or(0))
}
