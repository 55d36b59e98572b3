//! setfsuid(2) and setfsgid(2): whose files a process makes, apart from who it is.

use crate::errno::{SysError, SysResult};

/// Sets the file system ids of the calling thread. Root that sets a uid other than 0 loses its effective rights over
/// files with it (capabilities(7)); setting 0 again gives them back.
///
/// # Errors
/// EPERM without CAP_SETUID and CAP_SETGID.
pub fn set(uid: u32, gid: u32) -> SysResult<()> {
    set_one("setfsgid", libc::SYS_setfsgid, gid)?;
    set_one("setfsuid", libc::SYS_setfsuid, uid)
}

/// The calls answer the previous id whether they worked or not: the second one tells.
fn set_one(name: &'static str, number: libc::c_long, id: u32) -> SysResult<()> {
    // SAFETY: both calls take one id and touch no memory.
    let now = unsafe {
        libc::syscall(number, id);
        libc::syscall(number, id)
    };
    if now as u32 == id {
        return Ok(());
    }
    Err(SysError::new("own what is made", name, libc::EPERM, id.to_string()))
}
