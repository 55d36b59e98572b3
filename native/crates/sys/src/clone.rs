//! clone3(2) as fork: for a process with one thread. The child runs on a copy of the memory.

use crate::errno::{SysError, SysResult};
use crate::namespace;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// New pid namespace.
pub const NEWPID: u64 = libc::CLONE_NEWPID as u64;
/// New user namespace; it owns the others that are new.
pub const NEWUSER: u64 = libc::CLONE_NEWUSER as u64;
/// New network namespace.
pub const NEWNET: u64 = libc::CLONE_NEWNET as u64;
/// New uts namespace.
pub const NEWUTS: u64 = libc::CLONE_NEWUTS as u64;
/// The child's parent is the caller's parent.
pub const PARENT: u64 = libc::CLONE_PARENT as u64;

const FILES: u64 = libc::CLONE_FILES as u64;

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// The child. It must end by exec or [`exit_now`].
    Child,
    /// The caller: the child's pid in the caller's pid namespace.
    Parent(i32),
}

/// Forks with clone3(2) `flags` (an OR of this file's constants), the child born in the v2 cgroup behind `cgroup`.
/// The caller must have one thread: locks of other threads would stay locked in the child.
///
/// # Errors
/// The errno of clone3.
pub fn fork(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> SysResult<Forked> {
    // With CLONE_PARENT the exit signal is the caller's own; a value of ours is EINVAL.
    let exit_signal = if flags & PARENT == 0 { libc::SIGCHLD as u64 } else { 0 };
    let mut args = CloneArgs { flags, exit_signal, ..CloneArgs::default() };
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd.as_raw_fd() as u64;
    }
    // SAFETY: args is a valid clone_args of the size given; without CLONE_VM the child has its own
    // copy of the memory and goes on on a copy of this stack.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    if pid >= 0 {
        return Ok(forked(pid));
    }
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOSYS) && cgroup.is_none() {
        return fork_without_clone3(flags | exit_signal);
    }
    Err(failure("clone3", &error, flags))
}

/// clone(2): a seccomp filter cannot look into clone3's arguments, so most filters answer it with ENOSYS.
fn fork_without_clone3(flags: u64) -> SysResult<Forked> {
    // SAFETY: without CLONE_VM and with no stack given this is fork: the child has its own copy of
    // the memory and goes on on a copy of this stack. The other arguments are not looked at.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_u64, 0_u64, 0_u64, 0_u64) };
    if pid >= 0 {
        return Ok(forked(pid));
    }
    Err(failure("clone", &std::io::Error::last_os_error(), flags))
}

/// What ran out may be namespaces: says which it was to have.
fn failure(syscall: &'static str, error: &std::io::Error, flags: u64) -> SysError {
    let own = namespace::names(flags);
    let object = if own.is_empty() { own } else { format!("with namespaces of its own ({own})") };
    SysError::from_io("start a process", syscall, error, object)
}

fn forked(pid: i64) -> Forked {
    if pid == 0 { Forked::Child } else { Forked::Parent(pid as i32) }
}

/// Closes a descriptor in a helper process that shares the descriptor table: on some filesystems
/// (FUSE, NFS) closing waits for a server, and this process must not. The helper is a child to reap.
///
/// # Errors
/// The errno of clone3; the descriptor is then closed here.
pub fn close_elsewhere(fd: OwnedFd) -> SysResult<()> {
    if let Forked::Child = fork(FILES, None)? {
        // SAFETY: the number is taken out of the table that the parent shares before anything
        // waits; the parent has given up the descriptor and does not close it again.
        unsafe { libc::close(fd.as_raw_fd()) };
        exit_now(0);
    }
    std::mem::forget(fd);
    Ok(())
}

/// Ends the process without running anything: no destructors, no exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit never returns and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Opens `fd`'s copy as a descriptor of its own, at 3 or above, close-on-exec.
///
/// # Errors
/// The errno of fcntl.
pub fn duplicate(fd: BorrowedFd<'_>) -> SysResult<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an int and makes a new descriptor.
    let new = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    if new < 0 {
        return Err(SysError::from_io("duplicate a descriptor", "fcntl", &std::io::Error::last_os_error(), ""));
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// Opens a copy of the descriptor with this number, as [`duplicate`] does: for numbers that come from elsewhere.
///
/// # Errors
/// The errno of fcntl: EBADF when there is none of that number.
pub fn duplicate_number(number: i32) -> SysResult<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes two ints and makes a new descriptor; a wrong number is refused.
    let new = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if new < 0 {
        return Err(SysError::from_io("duplicate a descriptor", "fcntl", &std::io::Error::last_os_error(), ""));
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// Makes `fd` the process's standard stream `target` (0, 1 or 2), open across exec.
///
/// # Errors
/// The errno of dup2.
pub fn set_standard_stream(fd: BorrowedFd<'_>, target: i32) -> SysResult<()> {
    // SAFETY: dup2 takes two ints; the streams 0 to 2 are owned by nobody here.
    if unsafe { libc::dup2(fd.as_raw_fd(), target) } < 0 {
        return Err(SysError::from_io("set a standard stream", "dup2", &std::io::Error::last_os_error(), ""));
    }
    Ok(())
}

/// Closes every descriptor from 3 up but those in `keep`. Owners of closed descriptors must not use them again.
///
/// # Errors
/// The errno of close_range.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> SysResult<()> {
    let mut numbers: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).filter(|n| *n > 2).collect();
    numbers.sort_unstable();
    let mut from = 3_u32;
    for next in numbers {
        if next > from {
            close_range(from, next - 1)?;
        }
        from = next + 1;
    }
    close_range(from, u32::MAX)
}

fn close_range(first: u32, last: u32) -> SysResult<()> {
    // SAFETY: close_range takes ints; the caller was told that it closes what others own.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
        return Err(SysError::from_io("close descriptors", "close_range", &std::io::Error::last_os_error(), ""));
    }
    Ok(())
}
