//! The child that runs a command in a container through a runtime. The command becomes the monitor's child; this
//! one ends when it runs.

use crate::cgroup::Unified;
use crate::command::{self, Files};
use crate::create::{read_pid, remove, run_with_terminal};
use crate::run::{Call, Streams};
use crate::runtime::{Flavor, Runtime};
use crate::{bundle, log, namespace};
use podwright_container::error::{StepError, StepResult, failed};
use podwright_container::handles::Handles;
use podwright_container::place::strip;
use podwright_container::report::{self, Report, Says};
use podwright_sys::{clone, signal};
use serde_json::Value;
use std::time::Duration;

/// How long the runtime may take until the command runs.
const LIMIT: Duration = Duration::from_secs(60);

/// Exit code of a child whose command does not run.
const FAILED: i32 = 128;

/// A command to run.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// The program that runs it.
    pub runtime: Runtime,
    /// The container's id.
    pub id: String,
    /// Absolute path of the container's bundle.
    pub bundle: String,
    /// Tells it from other execs of the container.
    pub name: String,
    /// The runtime-spec's process object as JSON.
    pub process: String,
    /// The unified cgroup it is moved to; empty: it stays where the runtime puts it.
    pub unified_dir: String,
}

/// Runs it. For a fresh fork of a process with one thread.
pub fn run(request: &ExecRequest, handles: &Handles<'_>) -> ! {
    let Err(error) = execute(request, handles) else { clone::exit_now(0) };
    // The monitor may have gone; there is nobody else to tell.
    let _ = report::send(handles.socket, &Report::Failed(error), None);
    clone::exit_now(FAILED)
}

fn execute(request: &ExecRequest, handles: &Handles<'_>) -> StepResult<()> {
    strip(&handles.list())?;
    signal::reset_all();
    handles.set_streams()?;
    let runtime = &request.runtime;
    let unified = Unified::open(&request.unified_dir)?;
    if runtime.hide_unified {
        namespace::enter(true)?;
    }
    rustix::process::chdir(request.bundle.as_str()).map_err(failed("enter the bundle", "chdir", &request.bundle))?;
    let mut process: Value =
        serde_json::from_str(&request.process).map_err(|e| StepError::invalid("read", "process", &e.to_string()))?;
    bundle::fit_process(&mut process)?; // what is left out was told when the container was made
    let console = bundle::console_size(&process);
    let files = Files::of(&request.name, process.get("terminal").and_then(Value::as_bool).unwrap_or(false));
    bundle::write_private(&files.process, process.to_string().as_bytes())?;
    let argv = command::exec(runtime, &request.id, &files);
    let ran = run_with_terminal(
        &Call { runtime, argv: &argv, verb: "exec", limit: LIMIT, streams: Streams::Same, give_up: None },
        &files,
        handles,
        console,
    );
    let pid = ran.and_then(|()| read_pid(&files.pid));
    // written when the command runs, which may be a moment later
    let inner = if runtime.flavor == Flavor::Runsc && pid.is_ok() { await_inner(&files.inner_pid) } else { None };
    remove(&files);
    let pid = pid.map_err(log::as_exec_failure)?;
    unified.take_tree(pid)?;
    if let Some(inner) = inner {
        report::send(handles.socket, &Report::Inner(inner), None)?;
    }
    report::send(handles.socket, &Report::Process { pid, says: Says::Nothing }, None)
}

/// The pid inside the sandbox; none when it does not come soon.
fn await_inner(file: &str) -> Option<i32> {
    for _ in 0..100 {
        if let Ok(pid) = read_pid(file) {
            return Some(pid);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}
