//! The child that makes a container through a runtime: it stays until the container runs, because the runtime's
//! `start` may need the mounts that only this child's namespace has.

use crate::bundle::Bundle;
use crate::cgroup::Unified;
use crate::command::{self, Files};
use crate::log;
use crate::run::{Call, Streams};
use crate::runtime::{Flavor, Runtime};
use crate::{console, gvisor, namespace, run};
use podwright_container::error::{Kind, StepError, StepResult, failed, io_failed};
use podwright_container::handles::Handles;
use podwright_container::hooks::runtime as hooks;
use podwright_container::place::Place;
use podwright_container::relabel::Relabel;
use podwright_container::report::{self, Report, Says};
use podwright_container::request::Overlay;
use podwright_container::{logfile, place::strip};
use podwright_sys::buffer::SharedNote;
use podwright_sys::{clone, signal};
use std::os::fd::AsFd;
use std::time::Duration;

/// How long `start` may take.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Exit code of a child whose container does not run.
const FAILED: i32 = 128;

/// A container to make.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The program that makes it.
    pub runtime: Runtime,
    /// The container's id.
    pub id: String,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// What is mounted at the bundle's `rootfs`; none: it is there.
    pub overlay: Option<Overlay>,
    /// Sources of its mounts that are given a SELinux context.
    pub relabel: Option<Relabel>,
    /// The container's cgroups, made already; the runtime joins those it knows.
    pub place: Place,
    /// The log file; empty for none.
    pub log_path: String,
    /// Has a terminal.
    pub terminal: bool,
    /// How long `create` may take.
    pub limit: Duration,
    /// The process whose namespaces its hooks are run in; 0: it has none.
    pub runtime_pid: i32,
}

/// Makes the container, waits for the go, starts it. For a fresh fork of a process with one thread. The end of the
/// report socket after [`Report::Started`] means that the container runs.
pub fn run(request: &CreateRequest, handles: &Handles<'_>, note: &SharedNote) -> ! {
    let Err(error) = make(request, handles, note) else { clone::exit_now(0) };
    // The monitor may have gone; there is nobody else to tell.
    let _ = report::send(handles.socket, &Report::Failed(error), None);
    clone::exit_now(FAILED)
}

fn make(request: &CreateRequest, handles: &Handles<'_>, note: &SharedNote) -> StepResult<()> {
    strip(&handles.list())?;
    signal::reset_all();
    handles.set_streams()?;
    open_log(request, handles, note)?;
    let runtime = &request.runtime;
    note.write(&format!("read the bundle {}", request.bundle));
    let mut bundle = Bundle::read(&request.bundle)?;
    let completed = bundle.complete()?;
    for text in completed.notes {
        report::send(handles.socket, &Report::Note(text), None)?;
    }
    if let Some(relabel) = &request.relabel {
        note.write("give mount sources their SELinux context");
        for text in relabel.apply_to_all()? {
            report::send(handles.socket, &Report::Note(text), None)?;
        }
    }
    let unified = Unified::of(&request.place)?;
    note.write("mount the root filesystem");
    namespace::enter(runtime.hide_unified)?;
    namespace::keep_in(&request.bundle)?;
    bundle.mount_images()?;
    let overlay = request.overlay.clone().map(|o| Overlay { label: bundle.mount_label().into(), ..o });
    namespace::furnish(&request.bundle, overlay.as_ref(), handles.shm)?;
    note.write("look at mount sources");
    bundle.check_sources()?;
    bundle.write()?;
    rustix::process::chdir(request.bundle.as_str()).map_err(failed("enter the bundle", "chdir", &request.bundle))?;
    make_root(&runtime.root)?;
    if request.runtime_pid != 0 {
        hooks::enter(&hooks::namespaces(request.runtime_pid)?)?;
    }
    if let Some(pod) = &runtime.pod {
        note.write(&format!("run {} for the pod's sandbox", runtime.name()));
        gvisor::ensure(runtime, pod, request.limit)?;
    }
    note.write(&format!("run {} create", runtime.name()));
    let postponed = match create(request, handles, &unified, completed.console) {
        Ok(()) => None,
        // a program that cannot be executed is told at the start, like everywhere
        Err(error) if log::exec_errno(&error.detail).is_some() => Some(log::as_exec_failure(error)),
        Err(error) => return Err(error),
    };
    report::send(handles.socket, &Report::Ready { devices: completed.devices, groups: completed.groups }, None)?;
    if runtime.flavor == Flavor::Oci {
        run::null_streams()?; // gVisor's containers get their streams at the start
    }
    await_go(handles, note);
    match postponed {
        Some(error) => return Err(error),
        None => start(request, handles, &unified)?,
    }
    report::send(handles.socket, &Report::Started, None)?;
    if runtime.flavor == Flavor::Oci {
        return Ok(());
    }
    rustix::net::shutdown(handles.socket, rustix::net::Shutdown::Both).map_err(failed("report", "shutdown", ""))?;
    clone::exit_now(gvisor::wait(runtime, &request.id))
}

fn open_log(request: &CreateRequest, handles: &Handles<'_>, note: &SharedNote) -> StepResult<()> {
    if request.log_path.is_empty() {
        return Ok(());
    }
    note.write(&format!("open log {}", request.log_path));
    let log = logfile::open(&request.log_path)?;
    let remote = logfile::is_remote(&log)?;
    report::send(handles.socket, &Report::Log { remote }, Some(log.as_fd()))
}

/// Runs `create`; the process that it leaves behind becomes the monitor's child.
fn create(
    request: &CreateRequest,
    handles: &Handles<'_>,
    unified: &Unified,
    console: Option<(u16, u16)>,
) -> StepResult<()> {
    let runtime = &request.runtime;
    let files = Files::of("create", request.terminal);
    let argv = command::create(runtime, &request.id, &request.bundle, &files);
    let streams = if runtime.flavor == Flavor::Oci { Streams::Same } else { Streams::Null };
    let made = run_with_terminal(
        &Call { runtime, argv: &argv, verb: "create", limit: request.limit, streams, give_up: Some(handles.socket) },
        &files,
        handles,
        console,
    );
    let pid = made.and_then(|()| read_pid(&files.pid));
    remove(&files);
    let pid = pid?;
    if runtime.flavor == Flavor::Runsc {
        return Ok(()); // it is the pid of the pod's sandbox
    }
    unified.take(pid)?;
    report::send(handles.socket, &Report::Process { pid, says: Says::Nothing }, None)
}

/// Runs a verb to its end, handing the terminal that it makes on to the monitor.
pub(crate) fn run_with_terminal(
    call: &Call<'_>,
    files: &Files,
    handles: &Handles<'_>,
    console: Option<(u16, u16)>,
) -> StepResult<()> {
    let listener = files.console.as_deref().map(console::listen).transpose()?;
    let running = run::start(call)?;
    let master = match &listener {
        Some(listener) => console::accept(listener, &running, call.give_up)?,
        None => None,
    };
    running.finish_unless(call.give_up, &files.log)?;
    if listener.is_none() {
        return Ok(());
    }
    let master = master
        .ok_or_else(|| StepError::without_call(Kind::Internal, "take the terminal", "", "the runtime sent none"))?;
    if let Some((rows, columns)) = console {
        console::size(&master, rows, columns)?;
    }
    report::send(handles.socket, &Report::Terminal, Some(master.as_fd()))
}

/// The runtime's directory, for root alone.
fn make_root(root: &str) -> StepResult<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
    made.map_err(io_failed("make the runtime's directory", "mkdir", root))
}

/// The pid that a runtime wrote.
pub(crate) fn read_pid(file: &str) -> StepResult<i32> {
    let text = std::fs::read_to_string(file).map_err(io_failed("read", "read", file))?;
    text.trim().parse().map_err(|_| StepError::invalid("read", file, "it holds no pid"))
}

/// Takes a call's files away; those it did not need are not there.
pub(crate) fn remove(files: &Files) {
    for name in files.names() {
        let _ = rustix::fs::unlink(name);
    }
}

/// Nothing to do until StartContainer. The monitor's end: so does this process.
fn await_go(handles: &Handles<'_>, note: &SharedNote) {
    note.write("wait for the start");
    let mut byte = [0; 1];
    loop {
        match rustix::io::read(handles.socket, &mut byte) {
            Ok(1) => return,
            Err(rustix::io::Errno::INTR) => {}
            _ => clone::exit_now(FAILED),
        }
    }
}

fn start(request: &CreateRequest, handles: &Handles<'_>, unified: &Unified) -> StepResult<()> {
    let runtime = &request.runtime;
    let log = "start.log";
    let argv = command::start(runtime, &request.id, log);
    let give_up = Some(handles.socket);
    let call = Call { runtime, argv: &argv, verb: "start", limit: START_LIMIT, streams: Streams::Same, give_up };
    let started = run::run(&call, log);
    let _ = rustix::fs::unlink(log);
    started.map_err(log::as_exec_failure)?;
    // gVisor starts helpers of a container at its start
    match &runtime.pod {
        Some(pod) => Unified::of(&pod.place)?.take_others(),
        None => unified.take_others(),
    }?;
    if runtime.flavor == Flavor::Runsc { run::null_streams() } else { Ok(()) }
}
