//! The container's log file: a path from outside, so only throw-away processes open it.

use crate::error::{StepResult, failed};
use crate::paths;
use rustix::fs::{Mode, OFlags};
use std::os::fd::OwnedFd;

/// Opens the log for appending (0640), making it and its directory (0755).
///
/// # Errors
/// The failing call.
pub fn open(path: &str) -> StepResult<OwnedFd> {
    if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        paths::make_host_directories(above)?;
    }
    // NONBLOCK: a fifo without a reader in its place must not hold us
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o640)).map_err(failed("open log", "open", path))
}
