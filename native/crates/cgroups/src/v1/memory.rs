//! v1 `memory`: the memory limit, and the limit of memory and swap together ("memsw"), which the
//! kernel keeps at or above it at every moment (cgroup-v1/memory.rst).

use crate::error::{CgroupError, Result};
use crate::file::{self, errno};
use crate::journal::Journal;
use crate::resources::{Resources, parse_limit};
use podwright_sys::errno::{SysError, SysResult};
use std::path::Path;

pub(crate) const MEMORY: &str = "memory.limit_in_bytes";
pub(crate) const MEMSW: &str = "memory.memsw.limit_in_bytes";

/// Writes both limits in the order that keeps memsw on top.
///
/// A memory limit given alone moves memsw with it by the same distance, as on v2, where swap has
/// its own limit. The kernel reclaims what it can to get below a lower limit and changes nothing
/// when it cannot: that is [`CgroupError::MemoryBelowUsage`].
pub fn set(journal: &mut Journal, path: &str, dir: &Path, r: &Resources) -> Result<()> {
    if r.memory_limit_bytes.is_none() && r.memory_swap_limit_bytes.is_none() {
        return Ok(());
    }
    let now = limit_of(&file::read(dir, MEMORY)?);
    let memory = r.memory_limit_bytes.map_or(now, |v| limit_of(&v.to_string()));
    let Some(now_memsw) = file::read_if_exists(dir, MEMSW)? else {
        return without_memsw(journal, path, dir, r, memory);
    };
    let now_memsw = limit_of(&now_memsw);
    let memsw = match r.memory_swap_limit_bytes {
        Some(v) => limit_of(&v.to_string()),
        None if memory == u64::MAX || now_memsw == u64::MAX => u64::MAX,
        None => memory.saturating_add(now_memsw.saturating_sub(now)),
    };
    if memsw < memory {
        return Err(CgroupError::Value {
            field: "memory_swap_limit_in_bytes",
            value: memsw.to_string(),
            reason: "is below the memory limit",
        });
    }
    let mut write = |name, value: u64| put(journal, path, dir, name, value);
    if memsw > now_memsw {
        write(MEMSW, memsw)?;
        write(MEMORY, memory)
    } else {
        write(MEMORY, memory)?;
        if memsw == now_memsw { Ok(()) } else { write(MEMSW, memsw) }
    }
}

/// A kernel that does not account swap: "as much swap as no swap" needs no controller.
fn without_memsw(journal: &mut Journal, path: &str, dir: &Path, r: &Resources, memory: u64) -> Result<()> {
    if let Some(swap) = r.memory_swap_limit_bytes
        && swap != -1
        && limit_of(&swap.to_string()) != memory
    {
        return Err(CgroupError::NoController {
            path: path.into(),
            field: "memory_swap_limit_in_bytes",
            controller: "memory swap",
        });
    }
    if r.memory_limit_bytes.is_some() { put(journal, path, dir, MEMORY, memory) } else { Ok(()) }
}

fn put(journal: &mut Journal, path: &str, dir: &Path, name: &str, value: u64) -> Result<()> {
    let text = if value == u64::MAX { "-1".to_owned() } else { value.to_string() };
    journal.set(dir, name, &text).map_err(|e| refused(path, dir, &text, e))
}

/// Why a limit was refused.
pub(crate) fn refused(path: &str, dir: &Path, limit: &str, error: SysError) -> CgroupError {
    match error.errno {
        errno::EBUSY => {
            let limit = parse_limit(limit).unwrap_or(-1);
            CgroupError::MemoryBelowUsage { path: path.into(), limit, usage: usage(dir).unwrap_or(0) }
        }
        _ => error.into(),
    }
}

fn usage(dir: &Path) -> SysResult<u64> {
    Ok(file::read(dir, "memory.usage_in_bytes")?.parse().unwrap_or(0))
}

/// `u64::MAX` for no limit, so that limits compare.
fn limit_of(text: &str) -> u64 {
    parse_limit(text).and_then(|v| u64::try_from(v).ok()).unwrap_or(u64::MAX)
}

/// Reads both back.
pub fn get(dir: &Path, r: &mut Resources) -> Result<()> {
    r.memory_limit_bytes = parse_limit(&file::read(dir, MEMORY)?);
    r.memory_swap_limit_bytes = file::read_if_exists(dir, MEMSW)?.as_deref().and_then(parse_limit);
    Ok(())
}
