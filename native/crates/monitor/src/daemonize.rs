//! From the command line to a process of its own that listens: the caller's process ends with
//! code 0 once the monitor listens, otherwise non-zero with one line on standard error.

use crate::arguments::ServeOptions;
use crate::server::Monitor;
use podwright_sys::clone::{self, Forked};
use podwright_sys::errno::{SysError, SysResult};
use podwright_sys::signal;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::DumpableBehavior;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

/// Runs the monitor of a sandbox.
pub(crate) fn serve(options: &ServeOptions) -> ExitCode {
    if options.foreground {
        return foreground(options);
    }
    match fork_away(options) {
        Ok(code) => code,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("podwright-monitor: {message}");
    ExitCode::FAILURE
}

fn foreground(options: &ServeOptions) -> ExitCode {
    match join_unified(options).and_then(|()| prepare(options)) {
        Ok(monitor) => run(monitor),
        Err(error) => fail(&error.to_string()),
    }
}

fn fork_away(options: &ServeOptions) -> SysResult<ExitCode> {
    clone::close_all_but(&[])?;
    let (reader, writer) = pipe()?;
    // Born there: a write to cgroup.procs waits for an RCU grace period, ten milliseconds and more.
    let cgroup = cgroup_directory(options)?;
    if matches!(clone::fork(0, cgroup.as_ref().map(AsFd::as_fd))?, Forked::Child) {
        drop(cgroup);
        drop(reader);
        clone::exit_now(child(options, writer));
    }
    drop(writer);
    let mut said = Vec::new();
    let read = std::fs::File::from(reader).read_to_end(&mut said);
    read.map_err(|e| SysError::from_io("start the monitor", "read", &e, &options.id))?;
    Ok(match said.as_slice() {
        [0] => ExitCode::SUCCESS,
        [] => fail("it ended before it listened"),
        text => fail(&String::from_utf8_lossy(text)),
    })
}

/// The process that stays. Tells its start over `writer`: one zero byte, or the error.
fn child(options: &ServeOptions, writer: OwnedFd) -> i32 {
    let mut writer = std::fs::File::from(writer);
    let ready = rustix::process::setsid()
        .map_err(|e| SysError::new("leave the session", "setsid", e.raw_os_error(), ""))
        .and_then(|_| prepare(options))
        .and_then(|monitor| null_streams().map(|()| monitor));
    match ready {
        Ok(monitor) => {
            let told = writer.write_all(&[0]);
            drop(writer);
            // A caller that has gone cannot be told; the daemon finds the socket all the same.
            drop(told);
            run(monitor);
            0
        }
        Err(error) => i32::from(writer.write_all(error.to_string().as_bytes()).is_err()) + 1,
    }
}

fn run(monitor: Monitor) -> ExitCode {
    match monitor.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn pipe() -> SysResult<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| SysError::new("start the monitor", "pipe2", e.raw_os_error(), ""))
}

fn null_streams() -> SysResult<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| SysError::new("open", "open", e.raw_os_error(), "/dev/null"))?;
    for stream in 0..=2 {
        clone::set_standard_stream(null.as_fd(), stream)?;
    }
    Ok(())
}

/// Everything before the loop.
fn prepare(options: &ServeOptions) -> SysResult<Monitor> {
    for tasks in &options.tasks {
        join(tasks)?;
    }
    let prctl = |e: rustix::io::Errno| SysError::new("prepare the monitor", "prctl", e.raw_os_error(), "");
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(prctl)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(prctl)?;
    rustix::thread::set_name(c"podwright-mon").map_err(prctl)?;
    rustix::process::chdir("/").map_err(|e| SysError::new("leave", "chdir", e.raw_os_error(), "/"))?;
    protect_from_oom();
    signal::ignore_terminal_signals();
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let listener = listen(&options.socket)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Monitor::new(options, listener)
}

fn cgroup_directory(options: &ServeOptions) -> SysResult<Option<OwnedFd>> {
    if options.cgroup.is_empty() {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(options.cgroup.as_str(), flags, Mode::empty());
    opened.map(Some).map_err(|e| SysError::new("join the monitors' cgroup", "open", e.raw_os_error(), &options.cgroup))
}

/// For a monitor that stays the process it was started as.
fn join_unified(options: &ServeOptions) -> SysResult<()> {
    if options.cgroup.is_empty() { Ok(()) } else { join(&format!("{}/cgroup.procs", options.cgroup)) }
}

fn join(file: &str) -> SysResult<()> {
    std::fs::write(file, "0").map_err(|e| SysError::from_io("join the monitors' cgroup", "write", &e, file))
}

/// As low as this kernel lets us; without CAP_SYS_RESOURCE the inherited value stays.
fn protect_from_oom() {
    for value in ["-999", "-998", "0"] {
        if std::fs::write("/proc/self/oom_score_adj", value).is_ok() {
            return;
        }
    }
}

/// Listens on the path, replacing a socket nobody listens on any more.
fn listen(path: &str) -> SysResult<OwnedFd> {
    const OPERATION: &str = "listen";
    let error =
        |syscall: &'static str| move |e: rustix::io::Errno| SysError::new(OPERATION, syscall, e.raw_os_error(), path);
    let address = SocketAddrUnix::new(path).map_err(error("bind"))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = || rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let listener = socket().map_err(error("socket"))?;
    match rustix::net::bind(&listener, &address) {
        Err(rustix::io::Errno::ADDRINUSE) => {
            let probe = socket().map_err(error("socket"))?;
            if rustix::net::connect(&probe, &address) != Err(rustix::io::Errno::CONNREFUSED) {
                return Err(SysError::new(OPERATION, "bind", rustix::io::Errno::ADDRINUSE.raw_os_error(), path));
            }
            rustix::fs::unlink(path).map_err(error("unlink"))?;
            rustix::net::bind(&listener, &address).map_err(error("bind"))?;
        }
        other => other.map_err(error("bind"))?,
    }
    rustix::net::listen(&listener, 16).map_err(error("listen"))?;
    Ok(listener)
}
