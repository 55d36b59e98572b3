//! Limits of a cgroup v2 directory as properties of its unit, and back into the files where systemd rounds.

use super::message::Value;
use crate::detect::Layout;
use crate::error::Result;
use crate::file;
use std::path::Path;

/// Files that systemd writes for the properties below, in the order in which they are written back.
const FILES: [&str; 10] = [
    "cpu.weight",
    "cpu.max",
    "memory.min",
    "memory.low",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "pids.max",
    "cpuset.cpus",
    "cpuset.mems",
];

/// The weight of an idle cgroup as systemd has it.
const IDLE: &str = "0";

/// The property of `cpu.weight`.
pub(super) const WEIGHT: &str = "CPUWeight";

/// What the files had.
#[derive(Debug, Default)]
pub(super) struct Limits(Vec<(&'static str, String)>);

impl Limits {
    /// The files' content; those of controllers that are not there are left out.
    pub(super) fn read(layout: &Layout, path: &str) -> Result<Self> {
        let Some(dir) = layout.unified_dir(path) else { return Ok(Self::default()) };
        Self::read_in(&dir)
    }

    fn read_in(dir: &Path) -> Result<Self> {
        let is_idle = file::read_if_exists(dir, "cpu.idle")?.as_deref() == Some("1");
        let mut found = Vec::new();
        for name in FILES {
            if let Some(text) = file::read_if_exists(dir, name)? {
                // some kernels show 1, which systemd would take for a weight
                found.push((name, if is_idle && name == "cpu.weight" { IDLE.to_owned() } else { text }));
            }
        }
        Ok(Self(found))
    }

    fn of(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(file, _)| *file == name).map(|(_, text)| text.as_str())
    }

    /// Whether it is idle (`cpu.idle`): systemd's weight 0, which cannot be written.
    pub(super) fn is_idle(&self) -> bool {
        self.of("cpu.weight") == Some(IDLE)
    }

    #[cfg(test)]
    pub(super) fn of_files(files: &[(&'static str, &str)]) -> Self {
        Self(files.iter().map(|(name, text)| (*name, (*text).to_owned())).collect())
    }

    /// The same as properties (systemd.resource-control(5)).
    pub(super) fn properties(&self) -> Vec<(&'static str, Value)> {
        let mut out = Vec::new();
        if let Some(weight) = self.of("cpu.weight").and_then(|w| w.parse().ok()) {
            out.push((WEIGHT, Value::Count(weight)));
        }
        if let Some((quota, period)) = self.of("cpu.max").and_then(|max| max.split_once(' ')) {
            let period: u64 = period.parse().unwrap_or(100_000).max(1);
            let per_second =
                quota.parse().map_or(u64::MAX, |q: u64| per_second(q.saturating_mul(1_000_000).div_ceil(period)));
            out.push(("CPUQuotaPeriodUSec", Value::Count(period)));
            out.push(("CPUQuotaPerSecUSec", Value::Count(per_second)));
        }
        for (name, property) in [
            ("memory.min", "MemoryMin"),
            ("memory.low", "MemoryLow"),
            ("memory.high", "MemoryHigh"),
            ("memory.max", "MemoryMax"),
            ("memory.swap.max", "MemorySwapMax"),
            ("pids.max", "TasksMax"),
        ] {
            if let Some(text) = self.of(name) {
                out.push((property, Value::Count(text.parse().unwrap_or(u64::MAX))));
            }
        }
        for (name, property) in [("cpuset.cpus", "AllowedCPUs"), ("cpuset.mems", "AllowedMemoryNodes")] {
            if let Some(text) = self.of(name) {
                out.push((property, Value::Bytes(bits(text))));
            }
        }
        out
    }

    /// Writes back what systemd wrote otherwise.
    pub(super) fn restore(&self, layout: &Layout, path: &str) -> Result<()> {
        let Some(dir) = layout.unified_dir(path) else { return Ok(()) };
        self.restore_in(&dir)
    }

    fn restore_in(&self, dir: &Path) -> Result<()> {
        for (name, text) in &self.0 {
            // gone: its last process ended meanwhile
            if let Some(now) = file::read_if_exists(dir, name)?
                && now != *text
                && (*name != "cpu.weight" || !self.is_idle())
            {
                file::write(dir, name, text)?;
            }
        }
        Ok(())
    }
}

/// systemd counts in steps of 10 ms and rounds down: up is what it is asked for, so that a pod never gets less.
fn per_second(micros: u64) -> u64 {
    micros.next_multiple_of(10_000)
}

/// Numbers above this are not CPUs or memory nodes of any kernel (NR_CPUS).
const MOST: usize = 8192;

/// A list such as "0-2,9" as a bit for each, the lowest first.
fn bits(list: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.trim().parse::<usize>(), to.trim().parse::<usize>()) else { continue };
        for at in from..=to.min(MOST) {
            if out.len() <= at / 8 {
                out.resize(at / 8 + 1, 0);
            }
            out[at / 8] |= 1 << (at % 8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_properties() {
        let limits = Limits(vec![
            ("cpu.weight", "59".into()),
            ("cpu.max", "25000 50000".into()),
            ("memory.min", "0".into()),
            ("memory.high", "524288".into()),
            ("memory.max", "1048576".into()),
            ("memory.swap.max", "max".into()),
            ("pids.max", "max".into()),
            ("cpuset.cpus", "0-2,9".into()),
        ]);
        let expected = vec![
            ("CPUWeight", Value::Count(59)),
            ("CPUQuotaPeriodUSec", Value::Count(50_000)),
            ("CPUQuotaPerSecUSec", Value::Count(500_000)),
            ("MemoryMin", Value::Count(0)),
            ("MemoryHigh", Value::Count(524_288)),
            ("MemoryMax", Value::Count(1_048_576)),
            ("MemorySwapMax", Value::Count(u64::MAX)),
            ("TasksMax", Value::Count(u64::MAX)),
            ("AllowedCPUs", Value::Bytes(vec![0b111, 0b10])),
        ];
        assert_eq!(limits.properties(), expected);
        let odd = Limits(vec![("cpu.max", "33333 100000".into())]);
        assert_eq!(odd.properties()[1], ("CPUQuotaPerSecUSec", Value::Count(340_000)));
        let free = Limits(vec![("cpu.max", "max 100000".into())]);
        assert_eq!(free.properties()[1], ("CPUQuotaPerSecUSec", Value::Count(u64::MAX)));
    }

    #[test]
    fn what_was_rounded_is_written_back() -> Result<()> {
        let dir = std::env::temp_dir().join(format!("podwright-limits-{}", std::process::id()));
        let made = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(dir.join("cpu.max"), "33334 100000"));
        assert!(made.is_ok());
        let limits = Limits(vec![("cpu.max", "33333 100000".into()), ("pids.max", "5".into())]);
        limits.restore_in(&dir)?;
        assert_eq!(file::read(&dir, "cpu.max")?, "33333 100000");
        for (name, text) in [("cpu.idle", "1"), ("cpu.weight", "1")] {
            assert!(std::fs::write(dir.join(name), text).is_ok());
        }
        let idle = Limits::read_in(&dir)?;
        assert_eq!((idle.is_idle(), &idle.properties()[0]), (true, &(WEIGHT, Value::Count(0))));
        idle.restore_in(&dir)?;
        assert_eq!(file::read(&dir, "cpu.weight")?, "1", "the kernel takes no 0");
        assert!(!file::exists(&dir, "pids.max"));
        let _gone = std::fs::remove_dir_all(&dir);
        Ok(())
    }
}
