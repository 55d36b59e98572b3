//! Stopping every process of a cgroup without a signal, and letting them go again.

use crate::file::{self, errno};
use podwright_sys::errno::SysResult;
use std::path::Path;
use std::time::{Duration, Instant};

/// Freezes the v2 cgroup at `dir` (`cgroup.freeze`). Answers whether all was frozen within `limit`.
pub fn freeze_v2(dir: &Path, limit: Duration) -> SysResult<bool> {
    file::write(dir, "cgroup.freeze", "1")?;
    until(limit, || Ok(file::keyed(&file::read(dir, "cgroup.events")?, "frozen") == Some(1)))
}

/// Thaws the v2 cgroup at `dir`.
pub fn thaw_v2(dir: &Path) -> SysResult<()> {
    tolerate_gone(file::write(dir, "cgroup.freeze", "0"))
}

/// Freezes the v1 cgroup at `dir` (freezer hierarchy). Answers whether all was frozen within
/// `limit`. A fork that races with the freezer leaves it at FREEZING: the state is written again,
/// as the kernel's freezer documentation asks for.
pub fn freeze_v1(dir: &Path, limit: Duration) -> SysResult<bool> {
    until(limit, || {
        file::write(dir, "freezer.state", "FROZEN")?;
        Ok(file::read(dir, "freezer.state")? == "FROZEN")
    })
}

/// Thaws the v1 cgroup at `dir` (freezer hierarchy).
pub fn thaw_v1(dir: &Path) -> SysResult<()> {
    tolerate_gone(file::write(dir, "freezer.state", "THAWED"))
}

fn tolerate_gone(done: SysResult<()>) -> SysResult<()> {
    match done {
        Err(e) if e.errno == errno::ENOENT || e.errno == errno::ENODEV => Ok(()),
        other => other,
    }
}

/// Asks `done` with growing pauses until it says yes or `limit` has passed.
pub(crate) fn until(limit: Duration, mut done: impl FnMut() -> SysResult<bool>) -> SysResult<bool> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_micros(200);
    loop {
        if done()? {
            return Ok(true);
        }
        let now = Instant::now();
        if now >= end {
            return Ok(false);
        }
        std::thread::sleep(pause.min(end - now));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
