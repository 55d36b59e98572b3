//! v2 `cpu`: weight and bandwidth.

use crate::error::Result;
use crate::file;
use crate::journal::Journal;
use crate::resources::{Resources, max_or, parse_limit};
use std::path::Path;

const IDLE: &str = "cpu.idle";
const BURST: &str = "cpu.max.burst";

/// Writes first what else would keep the kernel from the rest: an idle group takes no weight, and a quota no greater burst.
pub fn make_way(journal: &mut Journal, dir: &Path, r: &Resources) -> Result<()> {
    let wish = |name| r.unified.get(name).filter(|_| file::exists(dir, name)).map(|text| text.trim());
    if wish(IDLE) == Some("0") {
        journal.set(dir, IDLE, "0")?;
    }
    if let Some(burst) = wish(BURST)
        && let (Ok(wish), Ok(now)) = (burst.parse::<u64>(), file::read(dir, BURST)?.parse::<u64>())
        && wish < now
    {
        journal.set(dir, BURST, burst)?;
    }
    Ok(())
}

/// Writes weight and `cpu.max`.
pub fn set(journal: &mut Journal, dir: &Path, r: &Resources) -> Result<()> {
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
    fn a_burst_goes_before_the_quota_where_it_shrinks_and_idleness_before_the_weight() -> Result<()> {
        let dir = std::env::temp_dir().join(format!("podwright-cpu-{}", std::process::id()));
        let _made = std::fs::create_dir_all(&dir);
        for (file, now, wish, first) in [
            (BURST, "50000", "20000", "20000"),
            (BURST, "50000", "20000\n", "20000"),
            (BURST, "20000", "50000", "20000"),
            (BURST, "20000", "much", "20000"),
            (IDLE, "1", "0", "0"),
            (IDLE, "0", "1", "0"),
        ] {
            let _written = std::fs::write(dir.join(file), now);
            let r = Resources { unified: [(file.to_owned(), wish.to_owned())].into(), ..Resources::default() };
            make_way(&mut Journal::recording(), &dir, &r)?;
            assert_eq!(file::read(&dir, file)?, first, "{file} {now} {wish}");
        }
        let _gone = std::fs::remove_file(dir.join(BURST));
        let r = Resources { unified: [(BURST.to_owned(), "1".to_owned())].into(), ..Resources::default() };
        make_way(&mut Journal::recording(), &dir, &r)?; // a kernel without it: told where the map is written
        let _gone = std::fs::remove_dir_all(&dir);
        Ok(())
    }

    #[test]
    fn weights_and_shares_round_trip() {
        for w in [1, 2, 17, 59, 100, 9999, 10_000] {
            assert_eq!(weight(shares(w)), w);
        }
    }
}
