//! v2 `memory`: the memory limit, and swap with a limit of its own.

use crate::error::{CgroupError, Result};
use crate::file::{self, errno};
use crate::journal::Journal;
use crate::resources::{Resources, max_or, parse_limit};
use podwright_sys::errno::SysResult;
use std::path::Path;

pub(crate) const MEMORY: &str = "memory.max";
const SWAP: &str = "memory.swap.max";

/// Writes `memory.max` and `memory.swap.max`; the CRI's swap limit counts memory too, the kernel's
/// does not.
///
/// Writing a `memory.max` below usage makes the OOM killer act. A lower limit is therefore first
/// reclaimed for and refused with [`CgroupError::MemoryBelowUsage`] when that does not suffice.
pub fn set(journal: &mut Journal, path: &str, dir: &Path, r: &Resources) -> Result<()> {
    let swap = match r.memory_swap_limit_bytes {
        Some(total) => Some(swap_max(dir, r.memory_limit_bytes, total)?),
        None => None,
    };
    if let Some(limit) = r.memory_limit_bytes {
        if let Ok(limit) = u64::try_from(limit) {
            make_room(path, dir, limit)?;
        }
        journal.set(dir, MEMORY, &max_or(limit))?;
    }
    match swap {
        Some(swap) if file::exists(dir, SWAP) => Ok(journal.set(dir, SWAP, &max_or(swap))?),
        // A kernel that does not account swap: none, or no limit, needs no controller.
        Some(1..) => Err(CgroupError::NoController {
            path: path.into(),
            field: "memory_swap_limit_in_bytes",
            controller: "memory swap",
        }),
        _ => Ok(()),
    }
}

/// `memory.swap.max` for a limit of memory and swap together.
fn swap_max(dir: &Path, memory: Option<i64>, total: i64) -> Result<i64> {
    if total < 0 {
        return Ok(-1);
    }
    let memory = match memory {
        Some(memory) => memory,
        None => parse_limit(&file::read(dir, MEMORY)?).unwrap_or(-1),
    };
    let refuse =
        |reason| Err(CgroupError::Value { field: "memory_swap_limit_in_bytes", value: total.to_string(), reason });
    match memory {
        ..0 => refuse("is given without a memory limit"),
        _ if total < memory => refuse("is below the memory limit"),
        _ => Ok(total - memory),
    }
}

/// What `memory.max` says in a `unified` map is as dangerous as the limit of its own field.
///
/// # Errors
/// [`CgroupError::MemoryBelowUsage`]; a text that is no number is left to the kernel.
pub fn room_for(path: &str, dir: &Path, text: &str) -> Result<()> {
    match bytes(text.trim()) {
        Some(limit) if file::exists(dir, MEMORY) => make_room(path, dir, limit),
        _ => Ok(()),
    }
}

/// A number with the suffix that the kernel's memparse() takes; none for "max" and what it refuses.
fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn make_room(path: &str, dir: &Path, limit: u64) -> Result<()> {
    let used = usage(dir)?;
    if used <= limit {
        return Ok(());
    }
    // Linux 5.19. EAGAIN: less than asked for could be reclaimed; what counts is what is left.
    match file::write(dir, "memory.reclaim", &(used - limit).to_string()) {
        Err(e) if e.errno == errno::EAGAIN => {}
        Err(e) if e.errno == errno::ENOENT => return estimate_room(path, dir, limit),
        other => other?,
    }
    let used = usage(dir)?;
    if used <= limit { Ok(()) } else { Err(below_usage(path, limit, used)) }
}

/// Without `memory.reclaim`: what is neither page cache nor reclaimable slab must fit.
fn estimate_room(path: &str, dir: &Path, limit: u64) -> Result<()> {
    let stat = file::read(dir, "memory.stat")?;
    let reclaimable: u64 =
        ["inactive_file", "active_file", "slab_reclaimable"].iter().filter_map(|key| file::keyed(&stat, key)).sum();
    let held = usage(dir)?.saturating_sub(reclaimable);
    if held <= limit { Ok(()) } else { Err(below_usage(path, limit, held)) }
}

fn below_usage(path: &str, limit: u64, usage: u64) -> CgroupError {
    CgroupError::MemoryBelowUsage { path: path.into(), limit: limit as i64, usage }
}

fn usage(dir: &Path) -> SysResult<u64> {
    Ok(file::read(dir, "memory.current")?.parse().unwrap_or(0))
}

/// Reads both back.
pub fn get(dir: &Path, r: &mut Resources) -> Result<()> {
    r.memory_limit_bytes = file::read_if_exists(dir, MEMORY)?.as_deref().and_then(parse_limit);
    let swap = file::read_if_exists(dir, SWAP)?.as_deref().and_then(parse_limit);
    r.memory_swap_limit_bytes = match (r.memory_limit_bytes, swap) {
        (_, None) => None,
        (Some(memory @ 0..), Some(swap @ 0..)) => Some(memory + swap),
        _ => Some(-1),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read_as_the_kernel_reads_them() {
        for (text, value) in [
            ("4096", Some(4096)),
            ("64M", Some(64 << 20)),
            ("1g", Some(1 << 30)),
            ("2T", Some(2 << 40)),
            ("max", None),
            ("", None),
            ("M", None),
            ("99999999999999999999", None),
            ("é", None),
        ] {
            assert_eq!(bytes(text), value, "{text}");
        }
    }
}
