//! v1 `cpu`: shares and CFS bandwidth (scheduler/sched-bwc.rst).

use crate::error::Result;
use crate::file::{self, errno};
use crate::journal::Journal;
use crate::resources::{Resources, parse_limit};
use std::path::Path;

const QUOTA: &str = "cpu.cfs_quota_us";
const PERIOD: &str = "cpu.cfs_period_us";

/// Writes shares, quota and period.
pub fn set(journal: &mut Journal, dir: &Path, r: &Resources) -> Result<()> {
    if let Some(shares) = r.cpu_shares {
        journal.set(dir, "cpu.shares", &shares.to_string())?;
    }
    let quota = r.cpu_quota.map(|q| q.to_string());
    let period = r.cpu_period.map(|p| p.to_string());
    match (period, quota) {
        (Some(period), Some(quota)) => {
            // The kernel checks quota/period against the parent's and the children's after each
            // write: one of the two orders passes through no ratio above both ends.
            match journal.set(dir, PERIOD, &period).and_then(|()| journal.set(dir, QUOTA, &quota)) {
                Err(e) if e.errno == errno::EINVAL => {
                    journal.set(dir, QUOTA, &quota)?;
                    journal.set(dir, PERIOD, &period)?;
                }
                other => other?,
            }
        }
        (Some(period), None) => journal.set(dir, PERIOD, &period)?,
        (None, Some(quota)) => journal.set(dir, QUOTA, &quota)?,
        (None, None) => {}
    }
    Ok(())
}

/// Reads them back.
pub fn get(dir: &Path, r: &mut Resources) -> Result<()> {
    r.cpu_shares = parse_limit(&file::read(dir, "cpu.shares")?);
    // A kernel without CFS bandwidth has shares only.
    r.cpu_quota = file::read_if_exists(dir, QUOTA)?.as_deref().and_then(parse_limit);
    r.cpu_period = file::read_if_exists(dir, PERIOD)?.as_deref().and_then(parse_limit);
    Ok(())
}
