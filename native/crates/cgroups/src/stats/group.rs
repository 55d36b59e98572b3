//! One cgroup between readings: its open files, where they are, and its last reading.

use super::files::{Files, Missing, Text};
use super::{Depth, Stats, v1, v2};
use crate::detect::Layout;
use crate::error::Result;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A cgroup's open files and directories.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) files: Files,
    pub(crate) dirs: Dirs,
    /// Page sizes it counts; looked for once, because most cgroups have none and two failed opens
    /// cost as much as half the other files.
    pub(crate) page_sizes: Option<Vec<String>>,
    /// The turn of the reader that it was last read in.
    pub(super) last_read: u64,
    /// What rates begin from.
    point: Option<Point>,
    last_timestamp_ns: u64,
}

/// Where the files are; `None` where this host lacks the controller.
#[derive(Debug)]
pub(crate) struct Dirs {
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) cpuacct: Option<PathBuf>,
    pub(crate) memory: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
    pub(crate) blkio: Option<PathBuf>,
    pub(crate) hugetlb: Option<PathBuf>,
    pub(crate) unified: Option<PathBuf>,
}

/// A point of the CPU time.
#[derive(Debug, Clone, Copy)]
struct Point {
    timestamp_ns: u64,
    usage_ns: u64,
}

/// Points nearer than this tell no rate.
const NEAREST_NS: u64 = 1_000_000;

/// Unix time as the caller counts it: it never goes back, and the wall clock may.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    unix_ns: u64,
    since: Instant,
}

impl Clock {
    /// A clock on which it was `unix_ns` (nanoseconds) at `since`, which is not later than now.
    pub fn set_to(unix_ns: u64, since: Instant) -> Self {
        Self { unix_ns, since }
    }

    /// The wall clock; one before 1970 counts from there.
    pub(super) fn of_the_wall() -> Self {
        let since = Instant::now();
        Self::set_to(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64), since)
    }

    fn now_ns(&self) -> u64 {
        self.unix_ns + self.since.elapsed().as_nanos() as u64
    }
}

impl Group {
    pub(super) fn new(layout: &Layout, path: &str) -> Self {
        let dirs = Dirs {
            cpu: layout.v1_dir("cpu", path),
            cpuacct: layout.v1_dir("cpuacct", path),
            memory: layout.v1_dir("memory", path),
            pids: layout.v1_dir("pids", path),
            blkio: layout.v1_dir("blkio", path),
            hugetlb: layout.v1_dir("hugetlb", path),
            unified: layout.unified_dir(path),
        };
        Self { files: Files::new(), dirs, page_sizes: None, last_read: 0, point: None, last_timestamp_ns: 0 }
    }

    /// Its usage; `None` when it does not exist.
    pub(super) fn read(
        &mut self,
        layout: &Layout,
        depth: Depth,
        clock: &Clock,
        text: &mut Text,
    ) -> Result<Option<Stats>> {
        // A second time, for a cgroup that was removed and made again since its files were opened.
        for _ in 0..2 {
            match self.sample(layout, depth, clock, text) {
                Ok(stats) => return Ok(stats),
                Err(Missing::Stale) => self.forget(),
                Err(Missing::Failed(e)) => return Err(e.into()),
            }
        }
        Ok(None)
    }

    /// What was known of the cgroup that had this path before.
    fn forget(&mut self) {
        self.files.close();
        self.page_sizes = None;
        self.point = None;
    }

    /// Cores in use since the point before, in billionths; `None` at the first, or too soon after.
    pub(super) fn nano_cores(&mut self, stats: &Stats) -> Option<u64> {
        let now = Point { timestamp_ns: stats.timestamp_ns, usage_ns: stats.cpu?.usage_ns };
        let before = self.point.replace(now)?;
        let elapsed = now.timestamp_ns.saturating_sub(before.timestamp_ns);
        if elapsed < NEAREST_NS || now.usage_ns < before.usage_ns {
            self.point = Some(before);
            return None;
        }
        let used = u128::from(now.usage_ns - before.usage_ns);
        u64::try_from(used * 1_000_000_000 / u128::from(elapsed)).ok()
    }

    fn sample(
        &mut self,
        layout: &Layout,
        depth: Depth,
        clock: &Clock,
        text: &mut Text,
    ) -> std::result::Result<Option<Stats>, Missing> {
        self.last_timestamp_ns = clock.now_ns().max(self.last_timestamp_ns + 1);
        let mut stats = Stats { timestamp_ns: self.last_timestamp_ns, ..Stats::default() };
        // A hybrid host may have any controller in either tree.
        v1::cpu(self, depth, text, &mut stats)?;
        if stats.cpu.is_none() {
            v2::cpu(self, text, &mut stats)?;
        }
        v1::memory(self, depth, text, &mut stats)?;
        if stats.memory.is_none() {
            v2::memory(self, depth, text, &mut stats)?;
        }
        if depth != Depth::Container {
            v1::pids(self, depth, text, &mut stats)?;
            if stats.pids.is_none() {
                v2::pids(self, depth, text, &mut stats)?;
            }
        }
        if stats.cpu.is_none() && stats.memory.is_none() && stats.pids.is_none() {
            return Ok(None);
        }
        v2::pressure(self, text, &mut stats)?;
        if depth != Depth::All {
            return Ok(Some(stats));
        }
        if self.page_sizes.is_none() {
            self.page_sizes = Some(page_sizes(&layout.hugepage_sizes, &self.dirs));
        }
        v1::io(self, text, &mut stats)?;
        if self.dirs.blkio.is_none() {
            v2::io(self, text, &mut stats)?;
        }
        v1::hugetlb(self, text, &mut stats)?;
        v2::hugetlb(self, text, &mut stats)?;
        Ok(Some(stats))
    }
}

/// The sizes whose files are there.
fn page_sizes(all: &[String], dirs: &Dirs) -> Vec<String> {
    let (dir, file) = match (&dirs.hugetlb, &dirs.unified) {
        (Some(dir), _) => (dir, "usage_in_bytes"),
        (None, Some(dir)) => (dir, "current"),
        (None, None) => return Vec::new(),
    };
    all.iter().filter(|size| dir.join(format!("hugetlb.{size}.{file}")).exists()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::Cpu;
    use super::*;
    use crate::detect::Version;
    use std::time::Duration;

    fn at(timestamp_ns: u64, usage_ns: u64) -> Stats {
        Stats { timestamp_ns, cpu: Some(Cpu { usage_ns, ..Cpu::default() }), ..Stats::default() }
    }

    #[test]
    fn rates_are_since_the_point_before() {
        let layout = Layout {
            version: Version::V2,
            unified: None,
            unified_controllers: Vec::new(),
            v1: Vec::new(),
            hugepage_sizes: Vec::new(),
        };
        let mut group = Group::new(&layout, "/c");
        assert_eq!(group.nano_cores(&at(1_000_000_000, 5)), None, "nothing before");
        assert_eq!(group.nano_cores(&at(1_000_500_000, 90)), None, "too near to tell");
        assert_eq!(group.nano_cores(&at(1_010_000_000, 5_000_005)), Some(500_000_000), "since the first");
        assert_eq!(group.nano_cores(&at(1_020_000_000, 5)), None, "a counter that went back");
        assert_eq!(group.nano_cores(&at(1_030_000_000, 45_000_005)), Some(2_000_000_000));
        assert_eq!(group.nano_cores(&Stats::default()), None, "no count");
        group.forget();
        assert_eq!(group.nano_cores(&at(2_000_000_000, 6)), None, "another cgroup of that path");
    }

    #[test]
    fn a_clock_goes_on_from_what_it_was_set_to() {
        let since = Instant::now();
        let clock = Clock::set_to(7, since);
        let first = clock.now_ns();
        assert!(first >= 7 && clock.now_ns() >= first);
        let Some(earlier) = since.checked_sub(Duration::from_secs(3)) else { return };
        assert!(Clock::set_to(7, earlier).now_ns() >= 3_000_000_007, "since it was set");
    }
}
