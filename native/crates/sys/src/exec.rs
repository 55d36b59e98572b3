//! execve(2), and what a process leaves behind before it.

use crate::errno::{SysError, SysResult};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

/// A program's arguments and environment in the form the kernel takes.
#[derive(Debug)]
pub struct Program {
    argv: Vec<CString>,
    envp: Vec<CString>,
}

impl Program {
    /// Takes arguments and environment.
    ///
    /// # Errors
    /// EINVAL when one holds a NUL byte.
    pub fn new(args: &[String], env: &[String]) -> SysResult<Self> {
        Ok(Self { argv: c_strings("arguments", args)?, envp: c_strings("environment", env)? })
    }

    /// Replaces this process by the program at `path`. Returns only the errno of a failure.
    pub fn exec(&self, path: &CStr) -> i32 {
        let (argv, envp) = (pointers(&self.argv), pointers(&self.envp));
        // SAFETY: path, argv and envp are NUL-terminated and outlive the call; on success nothing returns.
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        errno()
    }

    /// Replaces this process by the program open as `fd`. Returns only the errno of a failure.
    pub fn exec_fd(&self, fd: BorrowedFd<'_>) -> i32 {
        let (argv, envp) = (pointers(&self.argv), pointers(&self.envp));
        // SAFETY: as in exec; the empty path with AT_EMPTY_PATH names the descriptor itself.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                fd.as_raw_fd(),
                c"".as_ptr(),
                argv.as_ptr(),
                envp.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        errno()
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn c_strings(what: &'static str, list: &[String]) -> SysResult<Vec<CString>> {
    let one = |s: &String| CString::new(s.as_str());
    list.iter().map(|s| one(s).map_err(|_| SysError::new("read the process", "execve", libc::EINVAL, what))).collect()
}

fn pointers(list: &[CString]) -> Vec<*const libc::c_char> {
    list.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}
