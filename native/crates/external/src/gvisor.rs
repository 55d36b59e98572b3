//! gVisor: one sandbox per pod, in whose kernel all containers of the pod run. A container's process is no process of
//! the host: a `runsc wait` stands for it.

use crate::cgroup::Unified;
use crate::command::{self, Files};
use crate::run::{self, Call, Streams};
use crate::runtime::{Pod, Runtime};
use podwright_container::error::{StepResult, failed, io_failed};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde_json::Value;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// Exit code of a container whose sandbox has gone: it was killed.
const KILLED: i32 = 137;

/// As long as a container lives.
const ALWAYS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Makes the pod's sandbox unless it is there.
///
/// # Errors
/// The failing call, the runtime's.
pub(crate) fn ensure(runtime: &Runtime, pod: &Pod, limit: Duration) -> StepResult<()> {
    let (lock, done) = (format!("{}/pod.lock", runtime.root), format!("{}/pod.started", runtime.root));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let held = rustix::fs::open(&lock, flags, Mode::from_raw_mode(0o600)).map_err(failed("open", "open", &lock))?;
    // containers made at once wait for the one that makes it, each within its own time
    flock(&held, FlockOperation::LockExclusive).map_err(failed("lock", "flock", &lock))?;
    if Path::new(&done).exists() {
        return Ok(());
    }
    fill(&pod.bundle)?;
    let files = Files::of(&format!("{}/pod", runtime.root), false);
    let calls = [
        ("create", command::create(runtime, &pod.id, &pod.bundle, &files)),
        ("start", command::start(runtime, &pod.id, &files.log)),
    ];
    for (verb, argv) in &calls {
        run::run(&Call { runtime, argv, verb, limit, streams: Streams::Null, give_up: None }, &files.log)?;
    }
    crate::create::remove(&files);
    Unified::of(&pod.place)?.take_others()?;
    std::fs::write(&done, "").map_err(io_failed("write", "write", &done))
}

/// What the sandbox's own container runs: this program as pause.
fn fill(bundle: &str) -> StepResult<()> {
    let directory = format!("{bundle}/rootfs");
    let proc = format!("{directory}/proc");
    std::fs::create_dir_all(&proc).map_err(io_failed("make the directory", "mkdir", &proc))?;
    let program = format!("{directory}/pause");
    std::fs::copy("/proc/self/exe", &program).map_err(io_failed("copy the program", "copy_file_range", &program))?;
    rustix::fs::chmod(&program, Mode::from_raw_mode(0o755)).map_err(failed("set mode of", "chmod", program))
}

/// Waits for a container's end and answers its exit code.
pub(crate) fn wait(runtime: &Runtime, id: &str) -> i32 {
    waited(runtime, id).ok().flatten().unwrap_or(KILLED)
}

fn waited(runtime: &Runtime, id: &str) -> StepResult<Option<i32>> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed(
        "wait for the container",
        "pipe2",
        id,
    ))?;
    let argv = command::wait(runtime, id, "/dev/null");
    let streams = Streams::Output(writer.as_fd());
    let running = run::start(&Call { runtime, argv: &argv, verb: "wait", limit: ALWAYS, streams, give_up: None })?;
    drop(writer);
    let mut text = String::new();
    let read = std::fs::File::from(reader).take(64 * 1024).read_to_string(&mut text);
    read.map_err(io_failed("wait for the container", "read", id))?;
    running.finish("/dev/null")?;
    let told: Option<Value> = serde_json::from_str(&text).ok();
    Ok(told.and_then(|t| t.get("exitStatus")?.as_i64()).and_then(|code| i32::try_from(code).ok()))
}
