//! Starting a program from a process with many threads and a big heap: posix_spawn(3), which
//! glibc makes of clone(CLONE_VM|CLONE_VFORK), so the cost does not grow with the heap.

use crate::errno::{SysError, SysResult};
use std::ffi::CString;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A program that ended, with what it wrote to its standard error.
#[derive(Debug)]
pub struct Ended {
    /// Exit code, or 128 + signal.
    pub code: i32,
    /// Its standard error, at most 16 KiB.
    pub stderr: String,
}

fn c_string(operation: &'static str, text: &str) -> SysResult<CString> {
    CString::new(text).map_err(|_| SysError::new(operation, "posix_spawn", libc::EINVAL, text))
}

fn pipe(operation: &'static str) -> SysResult<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: pipe2 writes two descriptors into an array of two.
    let rc = unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) };
    if rc != 0 {
        return Err(SysError::from_io(operation, "pipe2", &std::io::Error::last_os_error(), ""));
    }
    // SAFETY: both descriptors were just made and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Runs the program behind a descriptor (a memfd, fexecve(3) style) with `/dev/null` as standard
/// input and output, waits for its end and returns its code and standard error.
///
/// # Errors
/// The failing call; a program that ends with a code is not an error.
pub fn run_fd(program: RawFd, argv: &[String]) -> SysResult<Ended> {
    const OPERATION: &str = "start";
    let (reader, writer) = pipe(OPERATION)?;
    let path = c_string(OPERATION, &format!("/proc/self/fd/{program}"))?;
    let args: Vec<CString> = argv.iter().map(|a| c_string(OPERATION, a)).collect::<SysResult<_>>()?;
    let mut pointers: Vec<*mut libc::c_char> = args.iter().map(|a| a.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    let environment = [std::ptr::null_mut::<libc::c_char>()];
    let null = c_string(OPERATION, "/dev/null")?;
    let mut pid: libc::pid_t = 0;
    let mut actions = MaybeUninit::<libc::posix_spawn_file_actions_t>::uninit();
    let mut attributes = MaybeUninit::<libc::posix_spawnattr_t>::uninit();
    // SAFETY: actions and attributes are initialised by their _init calls before any use and
    // destroyed after the last; every pointer outlives the call; argv and envp end with null.
    let rc = unsafe {
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        libc::posix_spawn_file_actions_addopen(actions.as_mut_ptr(), 0, null.as_ptr(), libc::O_RDWR, 0);
        libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), 0, 1);
        libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), writer.as_raw_fd(), 2);
        libc::posix_spawnattr_init(attributes.as_mut_ptr());
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::posix_spawnattr_setsigmask(attributes.as_mut_ptr(), none.as_ptr());
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::posix_spawnattr_setsigdefault(attributes.as_mut_ptr(), all.as_ptr());
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        libc::posix_spawnattr_setflags(attributes.as_mut_ptr(), flags as libc::c_short);
        let rc = libc::posix_spawn(
            &mut pid,
            path.as_ptr(),
            actions.as_ptr(),
            attributes.as_ptr(),
            pointers.as_ptr(),
            environment.as_ptr(),
        );
        libc::posix_spawnattr_destroy(attributes.as_mut_ptr());
        libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
        rc
    };
    drop(writer);
    let name = argv.first().cloned().unwrap_or_default();
    if rc != 0 {
        return Err(SysError::new(OPERATION, "posix_spawn", rc, name));
    }
    // The program's own children must not hold its standard error, or this would wait for them.
    let mut text = Vec::new();
    let read = std::fs::File::from(reader).take(16 * 1024).read_to_end(&mut text);
    let code = wait(pid, &name)?;
    read.map_err(|e| SysError::from_io(OPERATION, "read", &e, name))?;
    Ok(Ended { code, stderr: String::from_utf8_lossy(&text).trim().to_owned() })
}

fn wait(pid: libc::pid_t, name: &str) -> SysResult<i32> {
    let mut status = 0;
    loop {
        // SAFETY: waitpid writes one int; the pid is our own unreaped child's.
        let rc = unsafe { libc::waitpid(pid, &mut status, 0) };
        if rc == pid {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(SysError::from_io("wait for", "waitpid", &error, name));
        }
    }
    Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) })
}

/// Makes a sealed memfd with the content of a file: an executable that nobody can change, shared
/// by all that run from it (ruling 7).
///
/// # Errors
/// The failing call.
pub fn sealed_copy(name: &str, file: &str) -> SysResult<OwnedFd> {
    const OPERATION: &str = "copy the program";
    let content = std::fs::read(file).map_err(|e| SysError::from_io(OPERATION, "read", &e, file))?;
    let c_name = c_string(OPERATION, name)?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string; the call makes a new descriptor.
    let fd = unsafe { libc::memfd_create(c_name.as_ptr(), flags | libc::MFD_EXEC) };
    // kernels before 6.3 do not know MFD_EXEC and make every memfd executable
    // SAFETY: as above.
    let fd = if fd < 0 { unsafe { libc::memfd_create(c_name.as_ptr(), flags) } } else { fd };
    if fd < 0 {
        return Err(SysError::from_io(OPERATION, "memfd_create", &std::io::Error::last_os_error(), name));
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let mut memfd = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    std::io::Write::write_all(&mut memfd, &content).map_err(|e| SysError::from_io(OPERATION, "write", &e, name))?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: F_ADD_SEALS takes an int.
    if unsafe { libc::fcntl(memfd.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(SysError::from_io(OPERATION, "fcntl", &std::io::Error::last_os_error(), name));
    }
    Ok(memfd.into())
}

/// Takes an exclusive lock on a file (made if absent) without waiting; `None` when another holds it.
/// The lock lasts as long as the descriptor.
///
/// # Errors
/// The failing call.
pub fn lock_exclusive(path: &str) -> SysResult<Option<OwnedFd>> {
    const OPERATION: &str = "lock";
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| SysError::from_io(OPERATION, "open", &e, path))?;
    // SAFETY: flock takes a descriptor and an int.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(Some(file.into()));
    }
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EWOULDBLOCK) {
        return Ok(None);
    }
    Err(SysError::from_io(OPERATION, "flock", &error, path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn runs_a_sealed_program_and_tells_its_end() {
        let program = sealed_copy("probe", "/bin/sh").unwrap();
        let argv = ["sh", "-c", "echo oops >&2; exit 3"].map(str::to_owned);
        let ended = run_fd(program.as_raw_fd(), &argv).unwrap();
        assert_eq!((ended.code, ended.stderr.as_str()), (3, "oops"));
    }

    #[test]
    fn a_sealed_program_cannot_be_written() {
        let program = sealed_copy("probe", "/bin/true").unwrap();
        let mut file = std::fs::File::from(program);
        assert!(std::io::Write::write(&mut file, b"x").is_err());
    }

    #[test]
    fn one_lock_at_a_time() {
        let path = format!("/tmp/podwright-lock-{}", std::process::id());
        let held = lock_exclusive(&path).unwrap();
        assert!(held.is_some());
        assert!(lock_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(lock_exclusive(&path).unwrap().is_some());
        std::fs::remove_file(path).unwrap();
    }
}
