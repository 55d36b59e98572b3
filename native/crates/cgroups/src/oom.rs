//! How often the kernel's OOM killer struck inside a cgroup.

use crate::file;
use podwright_sys::errno::SysResult;
use std::path::Path;

/// The number of processes killed for lack of memory, from `memory_events` as in
/// [`crate::Facts::memory_events`]: v2 `memory.events.local` or `memory.events`, or v1
/// `memory.oom_control` (Linux 4.13); all have a line `oom_kill N`. 0 for an empty path.
///
/// An error with ENOENT or ENODEV means that the group is gone.
pub fn kills(memory_events: &Path) -> SysResult<u64> {
    let (Some(dir), Some(name)) = (memory_events.parent(), memory_events.file_name().and_then(|n| n.to_str())) else {
        return Ok(0);
    };
    Ok(file::keyed(&file::read(dir, name)?, "oom_kill").unwrap_or(0))
}
