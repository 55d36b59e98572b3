//! From a process that is set up to the program: session, user, capabilities, filter, exec.
//!
//! A process that is to appear in a pid namespace which others share or live in does all of this
//! outside of it and forks into it last, with nothing left to take: a peer there with
//! CAP_SYS_PTRACE could otherwise take over a child that still has the monitor's rights, and
//! "not dumpable" does not hold such a peer off (ptrace(2), ptrace access mode checking).

use crate::credentials::{self, Capabilities};
use crate::error::{StepError, StepResult, failed};
use crate::handles;
use crate::hooks::{self, Call, Status, Subject};
use crate::limits;
use crate::paths;
use crate::process::{ProcessPlan, candidates};
use crate::report::{self, Report, Says};
use crate::spec::Hook;
use crate::users::Users;
use podwright_sys::clone::{self, Forked};
use podwright_sys::exec::Program;
use podwright_sys::{keyring, seccomp};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::BorrowedFd;

/// What a child knows of itself before it enters the container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// Device and inode of the program it runs: the container must not get to run that.
    pub program: (u64, u64),
    /// The capabilities it may give.
    pub held: u64,
}

impl Origin {
    /// To be called in the host's mount namespace.
    ///
    /// # Errors
    /// The failing call.
    pub(crate) fn here() -> StepResult<Self> {
        let name = "/proc/self/exe";
        let program = paths::file_id(name).map_err(failed("look at", "stat", name))?;
        Ok(Self { program, held: credentials::held()? })
    }

    /// In a user namespace a process holds every capability over what the namespace owns.
    ///
    /// # Errors
    /// The failing call.
    pub(crate) fn in_user_namespace(self) -> StepResult<Self> {
        Ok(Self { held: credentials::held()?, ..self })
    }
}

/// How the program comes to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    /// The way to the monitor.
    pub socket: BorrowedFd<'a>,
    /// Fork before exec, because the pid namespace is entered only by children.
    pub fork: bool,
    /// The pid namespace to enter; none: it is set already.
    pub pid_namespace: Option<BorrowedFd<'a>>,
    /// Standard input is the controlling terminal.
    pub terminal: bool,
    /// What is run before the program, as its user.
    pub hooks: Option<StartHooks<'a>>,
}

/// startContainer hooks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartHooks<'a> {
    /// In this order.
    pub list: &'a [Hook],
    /// Whose they are.
    pub subject: &'a Subject,
}

/// The capability sets that can be given, and a note on those that cannot.
pub(crate) fn grantable(plan: &ProcessPlan, origin: &Origin) -> (Capabilities, Option<String>) {
    let missing = plan.capabilities.union() & !origin.held;
    let note = (missing != 0).then(|| format!("{} left out: not held", credentials::names(missing).join(", ")));
    (plan.capabilities.within(origin.held), note)
}

/// What takes the rights of the host's root, for a process that is about to enter a user namespace: room for its limits,
/// the owner of its streams. Notes come back.
///
/// # Errors
/// The failing call; a user that the namespace does not have.
pub(crate) fn prepare_outside(plan: &ProcessPlan, users: &Users<'_>) -> StepResult<Vec<String>> {
    let mut notes = Vec::new();
    for (resource, _, hard) in &plan.rlimits {
        notes.extend(limits::make_room(*resource, *hard)?);
    }
    let (uid, _) = users.outside(plan.identity.uid, plan.identity.gid)?;
    handles::own_streams(uid)?;
    Ok(notes)
}

/// What can be done early, so that a container that lacks something is not made, or is worth a note: the session keyring,
/// limits, mask, owners of the streams (`outside`: that was done by [`prepare_outside`]).
///
/// # Errors
/// The failing call.
pub(crate) fn prepare(plan: &ProcessPlan, outside: bool) -> StepResult<Vec<String>> {
    keyring::leave_session()?;
    let mut notes = Vec::new();
    for (resource, soft, hard) in &plan.rlimits {
        let note = limits::set(*resource, *soft, *hard)?;
        notes.extend(note.filter(|_| !outside)); // that was noted then
    }
    handles::own_null()?;
    if !outside {
        handles::own_streams(plan.identity.uid)?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(plan.umask & 0o777));
    Ok(notes)
}

/// Runs the program. Returns only when that failed.
pub(crate) fn launch(plan: &ProcessPlan, origin: &Origin, way: Way<'_>) -> StepError {
    match become_program(plan, origin, way) {
        Ok(error) | Err(error) => error,
    }
}

fn become_program(plan: &ProcessPlan, origin: &Origin, way: Way<'_>) -> StepResult<StepError> {
    let program = Program::new(&plan.args, &plan.env)?;
    if let Some(namespace) = way.pid_namespace {
        let kind = Some(rustix::thread::LinkNameSpaceType::ProcessID);
        rustix::thread::move_into_link_name_space(namespace, kind).map_err(failed(
            "enter the pid namespace",
            "setns",
            "",
        ))?;
    }
    if !way.fork {
        start_session(way.terminal)?;
    }
    let entered = enter_directory(&plan.cwd)?;
    let (caps, _) = grantable(plan, origin);
    credentials::limit_bounding(caps.bounding)?;
    credentials::become_user(&plan.identity)?;
    if !entered {
        // root without rights on a network filesystem may be refused where the user is not
        rustix::process::chdir(plan.cwd.as_str()).map_err(failed("enter working directory", "chdir", &plan.cwd))?;
        check_directory(&plan.cwd)?;
    }
    let name = plan.args.first().map_or("", String::as_str);
    let tries = candidates(name, &plan.env);
    if way.fork {
        clone::close_all_but(&[way.socket])?; // while no filter refuses it
    }
    let filter = &plan.filter;
    if !plan.no_new_privileges && !filter.program.is_empty() {
        seccomp::load(&filter.program, filter.flags)?; // while CAP_SYS_ADMIN is there
    }
    credentials::set_capabilities(caps)?;
    if plan.no_new_privileges {
        credentials::no_new_privileges()?;
    }
    if way.fork {
        fork_last(way.socket)?;
        start_session(way.terminal)?;
    }
    if let Some(hooks) = way.hooks {
        run_hooks(hooks, plan, origin)?;
    }
    refuse_own_program(name, &tries, origin)?; // here, because /proc/self is this process's at last
    if plan.no_new_privileges && !filter.program.is_empty() {
        seccomp::load(&filter.program, filter.flags)?;
    }
    Ok(exec(&program, name, &tries))
}

/// Forks the process that runs the program into the pid namespace of others, and ends. They can get hold of its
/// descriptors there: beside its streams it has the way to the monitor, where it can say that it failed, no more.
fn fork_last(socket: BorrowedFd<'_>) -> StepResult<()> {
    if let Forked::Parent(pid) = clone::fork(clone::PARENT, None)? {
        let sent = report::send(socket, &Report::Process { pid, says: Says::OnlyFailure }, None);
        clone::exit_now(i32::from(sent.is_err()));
    }
    Ok(())
}

/// Their paths are the container's, so they run with no more than its program gets.
fn run_hooks(StartHooks { list, subject }: StartHooks<'_>, plan: &ProcessPlan, origin: &Origin) -> StepResult<()> {
    let filter = Some(&plan.filter).filter(|f| plan.no_new_privileges && !f.program.is_empty());
    let prepare = || filter.map_or(Ok(()), |f| Ok(seccomp::load(&f.program, f.flags)?));
    for hook in list {
        refuse_own_program(&hook.path, std::slice::from_ref(&hook.path), origin)?;
        let state = subject.state(Status::Created, Some(rustix::process::getpid().as_raw_nonzero().get()))?;
        hooks::run(&Call {
            kind: "startContainer",
            hook,
            state: &state,
            directory: "/",
            prepare: &prepare,
            give_up: None,
        })?;
    }
    Ok(())
}

fn start_session(terminal: bool) -> StepResult<()> {
    rustix::process::setsid().map_err(failed("start a session", "setsid", ""))?;
    if terminal {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()).map_err(failed(
            "take the terminal",
            "ioctl",
            "TIOCSCTTY",
        ))?;
    }
    Ok(())
}

/// False when entering is refused for now.
fn enter_directory(cwd: &str) -> StepResult<bool> {
    match rustix::process::chdir(cwd) {
        Ok(()) => check_directory(cwd).map(|()| true),
        Err(Errno::ACCESS) => Ok(false),
        Err(e) => Err(failed("enter working directory", "chdir", cwd)(e)),
    }
}

/// The directory must lie in the root: a path through /proc/self/fd could lead out of it
/// (CVE-2024-21626).
fn check_directory(cwd: &str) -> StepResult<()> {
    let here = rustix::process::getcwd(Vec::new()).map_err(failed("look at working directory", "getcwd", cwd))?;
    if here.as_bytes().first() == Some(&b'/') {
        return Ok(());
    }
    Err(StepError::invalid("enter working directory", cwd, "it is outside of the container"))
}

/// The monitor's own program, reached through /proc/self/exe, is not for the container. (It is
/// a sealed memfd, so that it could not be changed by it anyway.)
fn refuse_own_program(name: &str, tries: &[String], origin: &Origin) -> StepResult<()> {
    if tries.iter().any(|path| paths::file_id(path) == Ok(origin.program)) {
        return Err(refused(name, Errno::ACCESS));
    }
    Ok(())
}

fn exec(program: &Program, name: &str, tries: &[String]) -> StepError {
    let mut worst = Errno::NOENT;
    for path in tries {
        let Ok(path) = CString::new(path.as_str()) else { return refused(name, Errno::INVAL) };
        let errno = Errno::from_raw_os_error(program.exec(&path));
        match errno {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => worst = errno,
            _ => return refused(name, errno),
        }
    }
    refused(name, worst)
}

/// The message in the words people know from runc.
fn refused(name: &str, errno: Errno) -> StepError {
    let reason = podwright_sys::errno::SysError::new("exec", "execve", errno.raw_os_error(), name).reason();
    let text = match errno {
        Errno::NOENT if name.contains('/') => format!("exec: {name:?}: stat {name}: no such file or directory"),
        Errno::NOENT => format!("exec: {name:?}: executable file not found in $PATH"),
        _ => format!("exec: {name:?}: {reason}"),
    };
    StepError::message("exec", errno.raw_os_error(), name, text)
}
