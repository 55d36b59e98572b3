//! v2 `cpu`: weight and bandwidth.

use crate::error::Result;
use crate::file;
use crate::journal::Journal;
use crate::resources::{Resources, max_or, parse_limit};
use std::path::Path;

const IDLE: &str = "cpu.idle";

/// Writes weight and `cpu.max`.
pub fn set(journal: &mut Journal, dir: &Path, r: &Resources) -> Result<()> {
    if r.unified.get(IDLE).is_some_and(|wish| wish.trim() == "0") {
        journal.set(dir, IDLE, "0")?;
    }
    // an idle group has the least weight there is, and takes no other
    let is_idle = file::read_if_exists(dir, IDLE)?.as_deref() == Some("1");
    if let Some(shares) = r.cpu_shares.filter(|_| !is_idle) {
        journal.set(dir, "cpu.weight", &weight(shares).to_string())?;
    }
    if r.cpu_quota.is_none() && r.cpu_period.is_none() {
        return Ok(());
    }
    let now = file::read(dir, "cpu.max")?;
    let (now_quota, now_period) = now.split_once(' ').unwrap_or((&now, "100000"));
    let quota = r.cpu_quota.map_or_else(|| now_quota.to_owned(), max_or);
    let period = r.cpu_period.map_or_else(|| now_period.to_owned(), |p| p.to_string());
    Ok(journal.set(dir, "cpu.max", &format!("{quota} {period}"))?)
}

/// Reads them back; the shares are the smallest that make the weight.
pub fn get(dir: &Path, r: &mut Resources) -> Result<()> {
    r.cpu_shares = file::read_if_exists(dir, "cpu.weight")?.and_then(|w| w.parse().ok()).map(shares);
    if let Some(max) = file::read_if_exists(dir, "cpu.max")? {
        let (quota, period) = max.split_once(' ').unwrap_or((&max, ""));
        r.cpu_quota = parse_limit(quota);
        r.cpu_period = parse_limit(period);
    }
    Ok(())
}

/// `cpu.weight` (1 to 10000) for v1 shares (2 to 262144): the curve through (2, 1), (1024, 100) and
/// (262144, 10000) that runc 1.3 and crun 1.23 use, so that a container's share of a node does not
/// depend on who runs it.
pub fn weight(shares: i64) -> i64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    let l = (shares as f64).log2();
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    10_f64.powf(exponent).ceil() as i64
}

/// The smallest shares that make `weight`.
fn shares(weight: i64) -> i64 {
    let (mut low, mut high) = (2, 262_144);
    while low < high {
        let middle = (low + high) / 2;
        if self::weight(middle) < weight {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_on_the_common_curve() {
        for (s, w) in
            [(0, 1), (2, 1), (1024, 100), (262_144, 10_000), (500_000, 10_000), (102, 17), (512, 59), (2048, 174)]
        {
            assert_eq!(weight(s), w, "{s}");
        }
    }

    #[test]
    fn weights_and_shares_round_trip() {
        for w in [1, 2, 17, 59, 100, 9999, 10_000] {
            assert_eq!(weight(shares(w)), w);
        }
    }
}
