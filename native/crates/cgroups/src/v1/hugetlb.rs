//! v1 `hugetlb`: limits by page size (cgroup-v1/hugetlb.rst).

use crate::error::Result;
use crate::file;
use crate::journal::Journal;
use crate::resources::{HugepageLimit, Resources, parse_limit};
use std::path::Path;

/// Writes the limits, of reservations too where the kernel has them (Linux 5.7).
pub fn set(journal: &mut Journal, dir: &Path, r: &Resources) -> Result<()> {
    for huge in &r.hugepage_limits {
        let name = format!("hugetlb.{}.limit_in_bytes", huge.page_size);
        // A size this machine lacks cannot be used: no limit is 0.
        if huge.limit == 0 && !file::exists(dir, &name) {
            continue;
        }
        journal.set(dir, &name, &huge.limit.to_string())?;
        let reserved = format!("hugetlb.{}.rsvd.limit_in_bytes", huge.page_size);
        if file::exists(dir, &reserved) {
            journal.set(dir, &reserved, &huge.limit.to_string())?;
        }
    }
    Ok(())
}

/// Reads them back for the page sizes this machine has.
pub fn get(dir: &Path, sizes: &[String], r: &mut Resources) -> Result<()> {
    for page_size in sizes {
        let text = file::read_if_exists(dir, &format!("hugetlb.{page_size}.limit_in_bytes"))?;
        if let Some(limit) = text.as_deref().and_then(parse_limit) {
            r.hugepage_limits.push(HugepageLimit { page_size: page_size.clone(), limit });
        }
    }
    Ok(())
}
