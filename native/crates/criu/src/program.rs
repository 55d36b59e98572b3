//! Finding criu, and becoming it: `criu swrk FD` answers one request on a descriptor that it inherits.

use crate::error::{CriuError, CriuResult, failed};
use podwright_sys::clone;
use podwright_sys::errno::SysError;
use podwright_sys::exec::Program;
use podwright_sys::signal;
use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Where programs are looked for, here and by criu itself (iptables, tar).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file of a program: a path as it is, a name looked for in the usual places.
///
/// # Errors
/// There is none that can be executed.
pub fn find(program: &str) -> CriuResult<CString> {
    let usable = |path: &str| rustix::fs::accessat(rustix::fs::CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok();
    let path = if program.contains('/') {
        usable(program).then(|| program.to_owned())
    } else {
        PATH.split(':').map(|dir| format!("{dir}/{program}")).find(|path| usable(path))
    };
    let missing = || CriuError::Missing { program: program.into() };
    CString::new(path.ok_or_else(missing)?).map_err(|_| missing())
}

/// Becomes `criu swrk` on `socket`, with the standard streams at /dev/null and no descriptor but that and `kept`.
/// For a fresh fork of a process with one thread. Answers only a failure.
///
/// At a write past RLIMIT_FSIZE criu gets an error instead of a signal: by lowering that limit a dump is made to give
/// up in an orderly way, which a signal would not: it would leave its code in the processes it dumps.
pub fn become_criu(path: &CString, socket: BorrowedFd<'_>, kept: &[BorrowedFd<'_>]) -> CriuError {
    match prepare(socket, kept) {
        Ok(program) => {
            let errno = program.exec(path);
            CriuError::Sys(SysError::new("run", "execve", errno, path.to_string_lossy()))
        }
        Err(error) => error,
    }
}

fn prepare(socket: BorrowedFd<'_>, kept: &[BorrowedFd<'_>]) -> CriuResult<Program> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(failed(
        "open",
        "open",
        "/dev/null",
    ))?;
    for number in 0..=2 {
        clone::set_standard_stream(null.as_fd(), number)?;
    }
    drop(null);
    let all: Vec<BorrowedFd<'_>> = kept.iter().copied().chain([socket]).collect();
    clone::close_all_but(&all)?;
    for fd in all {
        rustix::io::fcntl_setfd(fd, FdFlags::empty()).map_err(failed("hand over a descriptor", "fcntl", ""))?;
    }
    signal::reset_all();
    signal::ignore_file_limit();
    let words = ["criu".into(), "swrk".into(), socket.as_raw_fd().to_string()];
    Ok(Program::new(&words, &[format!("PATH={PATH}")])?)
}

/// Whether an errno says that the place of a checkpoint is not as the caller said.
pub fn is_of_the_place(errno: i32) -> bool {
    let found = Errno::from_raw_os_error(errno);
    let of_place = [
        Errno::ACCESS,
        Errno::PERM,
        Errno::ROFS,
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::EXIST,
    ];
    of_place.contains(&found)
}
