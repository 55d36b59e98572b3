//! seccomp(2): loading a compiled filter.

use crate::errno::{SysError, SysResult};

/// Loads a filter: `program` is an array of `struct sock_filter` in host order, `flags` are
/// SECCOMP_FILTER_FLAG_*. Needs no_new_privs or CAP_SYS_ADMIN.
///
/// # Errors
/// EINVAL for bytes that are no filter; the errno of seccomp.
pub fn load(program: &[u8], flags: u32) -> SysResult<()> {
    const OPERATION: &str = "load the seccomp filter";
    const SIZE: usize = size_of::<libc::sock_filter>();
    let length = program.len() / SIZE;
    let fits = u16::try_from(length).ok().filter(|n| *n > 0 && program.len().is_multiple_of(SIZE));
    let Some(count) = fits else {
        return Err(SysError::new(OPERATION, "seccomp", libc::EINVAL, format!("{} bytes", program.len())));
    };
    let mut filters: Vec<libc::sock_filter> = program
        .chunks_exact(SIZE)
        .map(|c| libc::sock_filter {
            code: u16::from_ne_bytes([c[0], c[1]]),
            jt: c[2],
            jf: c[3],
            k: u32::from_ne_bytes([c[4], c[5], c[6], c[7]]),
        })
        .collect();
    let fprog = libc::sock_fprog { len: count, filter: filters.as_mut_ptr() };
    // SAFETY: fprog points at `count` filters that outlive the call.
    let rc = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const fprog) };
    if rc < 0 {
        return Err(SysError::from_io(OPERATION, "seccomp", &std::io::Error::last_os_error(), ""));
    }
    if rc > 0 {
        // SECCOMP_FILTER_FLAG_TSYNC names the thread that could not follow
        return Err(SysError::new(OPERATION, "seccomp", libc::ESRCH, format!("thread {rc}")));
    }
    Ok(())
}
