//! v2 `pids`: how many tasks may exist.

use crate::error::Result;
use crate::file;
use crate::journal::Journal;
use crate::resources::{Resources, max_or, parse_limit};
use std::path::Path;

/// Writes the limit.
pub fn set(journal: &mut Journal, dir: &Path, r: &Resources) -> Result<()> {
    if let Some(limit) = r.pids_limit {
        journal.set(dir, "pids.max", &max_or(limit))?;
    }
    Ok(())
}

/// Reads it back.
pub fn get(dir: &Path, r: &mut Resources) -> Result<()> {
    r.pids_limit = file::read_if_exists(dir, "pids.max")?.as_deref().and_then(parse_limit);
    Ok(())
}
