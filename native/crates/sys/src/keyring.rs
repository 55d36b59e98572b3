//! Keyrings (keyrings(7)).

use crate::errno::{SysError, SysResult};

/// Gives the calling process a new session keyring of its own, without a name. Keys of the session it came from are out
/// of its reach then. A kernel without keyrings has nothing to reach.
///
/// # Errors
/// The errno of keyctl.
pub fn leave_session() -> SysResult<()> {
    let name = std::ptr::null::<libc::c_char>();
    // SAFETY: KEYCTL_JOIN_SESSION_KEYRING takes a name or null, and touches no memory of ours.
    if unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name) } >= 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS) => Ok(()),
        _ => Err(SysError::from_io("leave the session keyring", "keyctl", &error, "")),
    }
}
