//! Network sysctls (proc_sys_net(5)). /proc/sys/net shows the namespace of the thread that opens it.

use crate::error::NetlinkResult;
use podwright_sys::errno::SysError;
use std::fs;

/// The same for a key that a kernel without the feature has not (IPv6): that is no failure.
pub(crate) fn set_if_there(key: &str, value: &str) -> NetlinkResult<()> {
    if fs::exists(format!("/proc/sys/{key}")).unwrap_or(false) { set(key, value) } else { Ok(()) }
}

/// Writes a sysctl unless it has the value already: a read-only /proc/sys with the right value is
/// no failure. `key` is the path under /proc/sys.
pub(crate) fn set(key: &str, value: &str) -> NetlinkResult<()> {
    let path = format!("/proc/sys/{key}");
    if fs::read_to_string(&path).is_ok_and(|now| now.trim() == value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(|error| SysError::from_io("set a sysctl", "write", &error, path).into())
}
