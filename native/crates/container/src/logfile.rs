//! The container's log file: a path from outside, so only throw-away processes open it.

use crate::error::{StepResult, failed};
use crate::paths;
use rustix::fs::{Mode, OFlags};
use std::os::fd::OwnedFd;

/// `f_type` of filesystems that ask a server: FUSE, NFS, CIFS, SMB2, 9P, Ceph, AFS, Coda, vboxsf.
const REMOTE: [u32; 9] =
    [0x6573_5546, 0x6969, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x00c3_6400, 0x5346_414f, 0x7375_7245, 0x786f_4256];

/// Whether writes to the file may wait for a server.
///
/// # Errors
/// The errno of fstatfs.
pub fn is_remote(file: &OwnedFd) -> StepResult<bool> {
    let stat = rustix::fs::fstatfs(file).map_err(failed("look at log", "fstatfs", ""))?;
    Ok(REMOTE.contains(&(stat.f_type as u32)))
}

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
