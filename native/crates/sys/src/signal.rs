//! Signals: blocking them, reading them from a descriptor, giving them back before exec.

use crate::errno::{SysError, SysResult};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

fn last(operation: &'static str, syscall: &'static str) -> SysError {
    SysError::from_io(operation, syscall, &std::io::Error::last_os_error(), "")
}

/// Blocks SIGCHLD and SIGTERM and makes a non-blocking descriptor that becomes readable with them.
///
/// # Errors
/// The errno of sigprocmask or signalfd.
pub fn child_and_term_fd() -> SysResult<OwnedFd> {
    const OPERATION: &str = "watch signals";
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is initialised by sigemptyset before use; signalfd makes a new descriptor.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
            return Err(last(OPERATION, "sigprocmask"));
        }
        let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            return Err(last(OPERATION, "signalfd"));
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Ignores the signals that would end a daemon by accident: SIGPIPE, SIGHUP, SIGINT, SIGQUIT.
pub fn ignore_terminal_signals() {
    for signal in [libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Gives every signal its default action and unblocks all: a program starts with neither from us
/// nor from whoever started us. By the bare system call, because C libraries keep some signals
/// (32 to 34) for themselves and refuse to touch them.
pub fn reset_all() {
    // struct sigaction of the kernel: handler (0 is the default), flags, restorer, mask
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the default action runs no code of ours; the struct is of the kernel's size;
        // SIGKILL and SIGSTOP fail without effect.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null_mut::<u64>(), 8) };
    }
    let none = 0_u64;
    // SAFETY: the mask is of the kernel's size.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, std::ptr::null_mut::<u64>(), 8);
    }
}

/// Sends a signal by its number to a process (pid above 0) or a process group (below −1).
///
/// # Errors
/// The errno of kill.
pub fn send(pid: i32, signal: i32) -> SysResult<()> {
    if pid == 0 || pid == -1 {
        return Err(SysError::new("signal a process", "kill", libc::EINVAL, pid.to_string()));
    }
    // SAFETY: kill takes ints.
    if unsafe { libc::kill(pid, signal) } != 0 {
        return Err(SysError::from_io("signal a process", "kill", &std::io::Error::last_os_error(), pid.to_string()));
    }
    Ok(())
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with a code.
    Code(i32),
    /// A signal killed it.
    Signal(i32),
}

/// Takes one ended child, whichever it is; `None` when none has ended.
///
/// # Errors
/// The errno of waitpid; no children at all is `None`.
pub fn reap_any() -> SysResult<Option<(i32, Ending)>> {
    let mut status = 0;
    // SAFETY: waitpid writes one int.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    match pid {
        0 => Ok(None),
        p if p > 0 && libc::WIFSIGNALED(status) => Ok(Some((p, Ending::Signal(libc::WTERMSIG(status))))),
        p if p > 0 => Ok(Some((p, Ending::Code(libc::WEXITSTATUS(status))))),
        _ => match std::io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::ECHILD) => Ok(None),
            e => Err(SysError::from_io("reap children", "waitpid", &e, "")),
        },
    }
}

/// Waits for any child to end and takes it; `None` when there are no children.
pub fn reap_blocking() -> Option<i32> {
    let mut status = 0;
    // SAFETY: waitpid writes one int.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
    (pid > 0).then_some(pid)
}

/// Lets the kernel reap every child at once: SIGCHLD is ignored (signal(7), wait(2)).
pub fn reap_automatically() {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// The number of SIGTERM.
pub const TERMINATE: i32 = libc::SIGTERM;

/// Takes the next signal from a descriptor of [`child_and_term_fd`]; `None` when there is none now.
///
/// # Errors
/// The errno of the read.
pub fn read_fd(fd: &OwnedFd) -> SysResult<Option<i32>> {
    let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(fd, &mut info) {
        // the number is the first field
        Ok(_) => Ok(Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(e) => Err(SysError::new("read signals", "read", e.raw_os_error(), "")),
    }
}

/// A write past RLIMIT_FSIZE is an error and not a signal, here and in what is executed from here.
pub fn ignore_file_limit() {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
