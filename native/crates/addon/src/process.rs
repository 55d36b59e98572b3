//! Processes: boot id, whether a pid is still the process it was, the daemon's lock, and the
//! start of monitors.

use crate::error::Outcome;
use neon::types::extract::Json;
use podwright_sys::end_process::end_process;
use podwright_sys::errno::{SysError, SysResult};
use podwright_sys::heap::trim_heap;
use podwright_sys::notify;
use podwright_sys::spawn;
use podwright_sys::start_time::start_time;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

/// The sealed copy of the monitor's program that all monitors of this daemon run from.
static MONITOR: OnceLock<OwnedFd> = OnceLock::new();

/// The kernel's boot id: facts about processes are true only within one boot.
#[neon::export]
fn boot_id() -> Json<Outcome<String>> {
    let path = "/proc/sys/kernel/random/boot_id";
    let read = std::fs::read_to_string(path)
        .map(|s| s.trim().to_owned())
        .map_err(|e| SysError::from_io("read the boot id", "read", &e, path));
    Json(read.into())
}

/// Returns what the C library's heap has free to the kernel.
#[neon::export(task)]
fn heap_trim() -> Json<Outcome<()>> {
    trim_heap();
    Json(Outcome::Ok(()))
}

/// What `service_notify` is given.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceNotify {
    socket: String,
    message: String,
}

/// One message to the service manager's socket (sd_notify(3)); off the event loop, for the manager may be slow.
#[neon::export(task)]
fn service_notify(request: Json<ServiceNotify>) -> Json<Outcome<()>> {
    Json(notify::notify(&request.0.socket, &request.0.message).into())
}

/// Start time of a process (proc_pid_stat(5) field 22, clock ticks), null when it is gone or a zombie;
/// a failure tells nothing of the process.
#[neon::export]
fn process_start_time(pid: f64) -> Json<Outcome<Option<u64>>> {
    Json(start_time(pid as i32).into())
}

/// What `process_end` is given.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EndProcess {
    pid: i32,
    start_time: u64,
    wait_ms: u64,
}

/// SIGKILL to the process with this pid and start time, and its end waited for; false when it was gone already.
#[neon::export(task)]
fn process_end(request: Json<EndProcess>) -> Json<Outcome<bool>> {
    let EndProcess { pid, start_time, wait_ms } = request.0;
    Json(end_process(pid, start_time, Duration::from_millis(wait_ms)).into())
}

/// Takes the daemon's exclusive lock for the life of this process; false when another has it.
#[neon::export]
fn lock_file(path: String) -> Json<Outcome<bool>> {
    let locked = spawn::lock_exclusive(&path).map(|lock| {
        let held = lock.is_some();
        // kept open on purpose: the lock ends with the process
        lock.map(IntoRawFd::into_raw_fd);
        held
    });
    Json(locked.into())
}

/// What `netns_unpin` is given.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UnpinNetns {
    path: String,
}

/// Takes a network namespace's pin away, with the file it was bound on; true when there was one.
#[neon::export(task)]
fn netns_unpin(request: Json<UnpinNetns>) -> Json<Outcome<bool>> {
    Json(unpin(&request.0.path).into())
}

fn unpin(path: &str) -> SysResult<bool> {
    use rustix::io::Errno;
    use rustix::mount::{UnmountFlags, unmount};
    const OPERATION: &str = "unpin the network namespace";
    match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::INVAL) => {} // EINVAL: a plain file, its mount is gone already
        Err(Errno::NOENT) => return Ok(false),
        Err(e) => return Err(SysError::new(OPERATION, "umount2", e.raw_os_error(), path)),
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(SysError::from_io(OPERATION, "unlink", &e, path)),
        _ => Ok(true),
    }
}

/// Copies the monitor's program into a sealed memfd; later calls do nothing.
#[neon::export]
fn prepare_monitor(program: String) -> Json<Outcome<bool>> {
    let prepared = match MONITOR.get() {
        Some(_) => Ok(false),
        None => spawn::sealed_copy("podwright-monitor", &program).map(|fd| MONITOR.set(fd).is_ok()),
    };
    Json(prepared.into())
}

/// What `spawn_monitor` is given.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SpawnMonitor {
    argv: Vec<String>,
}

/// How the monitor's first process ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpawnedMonitor {
    code: i32,
    stderr: String,
}

/// Starts a monitor and returns when it listens: its first process ends then, with code 0.
#[neon::export(task)]
fn spawn_monitor(request: Json<SpawnMonitor>) -> Json<Outcome<SpawnedMonitor>> {
    Json(spawned(&request.0).into())
}

fn spawned(request: &SpawnMonitor) -> SysResult<SpawnedMonitor> {
    let program = MONITOR.get().ok_or_else(|| SysError::new("start a monitor", "prepare_monitor", 0, ""))?;
    let ended = spawn::run_fd(program.as_raw_fd(), &request.argv)?;
    Ok(SpawnedMonitor { code: ended.code, stderr: ended.stderr })
}
