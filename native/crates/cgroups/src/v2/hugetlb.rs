//! v2 `hugetlb`: limits by page size.

use crate::error::Result;
use crate::file;
use crate::journal::Journal;
use crate::resources::{HugepageLimit, Resources, max_or, parse_limit};
use std::path::Path;

/// Writes the limits, of reservations too where the kernel has them (Linux 5.7).
pub fn set(journal: &mut Journal, dir: &Path, r: &Resources) -> Result<()> {
    for huge in &r.hugepage_limits {
        let name = format!("hugetlb.{}.max", huge.page_size);
        // Without the controller, or for a size this machine lacks, none can be used: no limit is 0.
        if huge.limit == 0 && !file::exists(dir, &name) {
            continue;
        }
        journal.set(dir, &name, &max_or(huge.limit))?;
        let reserved = format!("hugetlb.{}.rsvd.max", huge.page_size);
        if file::exists(dir, &reserved) {
            journal.set(dir, &reserved, &max_or(huge.limit))?;
        }
    }
    Ok(())
}

/// Reads them back for the page sizes this machine has.
pub fn get(dir: &Path, sizes: &[String], r: &mut Resources) -> Result<()> {
    for page_size in sizes {
        let text = file::read_if_exists(dir, &format!("hugetlb.{page_size}.max"))?;
        if let Some(limit) = text.as_deref().and_then(parse_limit) {
            r.hugepage_limits.push(HugepageLimit { page_size: page_size.clone(), limit });
        }
    }
    Ok(())
}
