//! Process facts: boot id, and whether a pid is still the process it was.

use crate::error::Outcome;
use neon::types::extract::Json;
use podwright_sys::errno::SysError;

/// The kernel's boot id: facts about processes are true only within one boot.
#[neon::export]
fn boot_id() -> Json<Outcome<String>> {
    let path = "/proc/sys/kernel/random/boot_id";
    let read = std::fs::read_to_string(path)
        .map(|s| s.trim().to_owned())
        .map_err(|e| SysError::from_io("read the boot id", "read", &e, path));
    Json(read.into())
}
