//! Options of netlink sockets (netlink(7)) that rustix has no name for.

use crate::errno::{SysError, SysResult};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Asks the kernel to explain its refusals in words (NETLINK_EXT_ACK) and to leave our own request
/// out of them (NETLINK_CAP_ACK).
pub fn explain_errors(socket: BorrowedFd<'_>) -> SysResult<()> {
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let on: libc::c_int = 1;
        // SAFETY: `on` lives across the call and the length passed is its own.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if done != 0 {
            let error = std::io::Error::last_os_error();
            return Err(SysError::from_io("set up a netlink socket", "setsockopt", &error, ""));
        }
    }
    Ok(())
}
