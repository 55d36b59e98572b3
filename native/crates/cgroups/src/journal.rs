//! Writes that can be taken back: an update changes all of its files or none.

use crate::error::CgroupError;
use crate::file::{self, errno};
use crate::{v1, v2};
use podwright_sys::errno::SysResult;
use std::path::{Path, PathBuf};

/// The writes made so far and what stood there before.
#[derive(Debug)]
pub struct Journal {
    old: Option<Vec<(PathBuf, String, String)>>,
}

impl Journal {
    /// A journal that can be taken back.
    pub fn recording() -> Self {
        Self { old: Some(Vec::new()) }
    }

    /// One that cannot, for a cgroup that was just made and is removed on failure.
    pub fn for_new_group() -> Self {
        Self { old: None }
    }

    /// Writes `value` to `dir/name`, noting the old content; a value that is there is not written.
    pub fn set(&mut self, dir: &Path, name: &str, value: &str) -> SysResult<()> {
        let Some(old) = &mut self.old else { return file::write(dir, name, value) };
        let before = file::read_if_exists(dir, name)?.unwrap_or_default();
        if before == value {
            return Ok(());
        }
        let beside = BESIDE.iter().find(|(changed, _)| *changed == name).map(|(_, beside)| *beside);
        let beside = beside.and_then(|beside| Some((beside, file::read_if_exists(dir, beside).ok()??)));
        file::write(dir, name, value)?;
        if let Some((beside, before)) = beside {
            old.push((dir.to_owned(), beside.to_owned(), before));
        }
        old.push((dir.to_owned(), name.to_owned(), before));
        Ok(())
    }

    /// Writes the old contents back, last first. A file that does not take its own content back
    /// (an emptied cpuset in use) keeps the new one: the error that led here is the one reported,
    /// and the limits can be read.
    ///
    /// The cgroup at `path` goes on meanwhile: an old `memory.max` that it has outgrown would kill, and v1 refuses such a
    /// limit. Then, and when no room for it can be made, the new one stays and the answer is `error` that says so; otherwise
    /// it is `error`.
    pub fn take_back(self, path: &str, error: CgroupError) -> CgroupError {
        let mut stays = None;
        for (dir, name, before) in self.old.into_iter().flatten().rev() {
            if name == v2::memory::MEMORY
                && let Err(e) = v2::memory::room_for(path, &dir, &before)
            {
                stays = stays.or(Some(e));
                continue;
            }
            let now = file::read(&dir, &name).unwrap_or_default();
            for line in undo(&name, &before, &now) {
                let refused = file::write(&dir, &name, &line).err().filter(|_| is_memory_limit(&name));
                stays = stays.or(refused.map(|e| v1::memory::refused(path, &dir, &line, e)));
            }
        }
        match stays {
            // it has gone
            Some(why) if matches!(why.errno(), errno::ENOENT | errno::ENODEV) => error,
            Some(why) => CgroupError::LimitStays { cause: Box::new(error), why: Box::new(why) },
            None => error,
        }
    }
}

/// The limits of which it is told when they stay: a caller takes what they were for what they are.
fn is_memory_limit(name: &str) -> bool {
    [v2::memory::MEMORY, v1::memory::MEMORY, v1::memory::MEMSW].contains(&name)
}

/// Files that change another one: a group that is idle no more has the usual weight instead of its own, and a nice value
/// is one of forty weights (`sched_group_set_idle`, `cpu_weight_nice_write_s64` of the kernel).
const BESIDE: [(&str, &str); 2] = [("cpu.idle", "cpu.weight"), ("cpu.weight.nice", "cpu.weight")];

/// Files with a line for each device, of which one write takes one (cgroup-v2.rst), and what takes a device's line away.
const BY_DEVICE: [(&str, &str); 8] = [
    ("io.max", "rbps=max wbps=max riops=max wiops=max"),
    ("io.latency", "target=0"),
    ("io.weight", "default"),
    ("io.bfq.weight", "default"),
    // the devices of these are always all there
    ("io.cost.qos", ""),
    ("rdma.max", ""),
    ("misc.max", ""),
    ("dmem.max", ""),
];

/// Whether a file has a line for each device.
pub(crate) fn is_by_device(name: &str) -> bool {
    BY_DEVICE.iter().any(|(file, _)| *file == name)
}

/// What to write, in order, so that a file which has `now` has `before` again. PURE.
fn undo(name: &str, before: &str, now: &str) -> Vec<String> {
    let key = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    if let Some((_, gone)) = BY_DEVICE.iter().find(|(file, _)| *file == name) {
        let had: Vec<String> = before.lines().map(key).collect();
        let new = now.lines().map(key).filter(|device| !had.contains(device) && !gone.is_empty());
        return new.map(|device| format!("{device} {gone}")).chain(before.lines().map(str::to_owned)).collect();
    }
    match before {
        "" => vec!["\n".to_owned()],
        // "root invalid (why)"
        _ if name == "cpuset.cpus.partition" => vec![key(before)],
        _ => vec![before.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::undo;

    #[test]
    fn what_was_there_comes_back() {
        assert_eq!(undo("memory.max", "max", "4096"), ["max"]);
        assert_eq!(undo("cpuset.cpus", "", "0-1"), ["\n"]);
        assert_eq!(undo("cpuset.cpus.partition", "root invalid (Parent is not a partition root)", "member"), ["root"]);
    }

    #[test]
    fn devices_that_were_not_there_go_and_the_others_come_back() {
        let before = "8:0 rbps=1048576 wbps=max riops=max wiops=max";
        let now = "8:0 rbps=2097152 wbps=max riops=max wiops=max\n8:16 rbps=max wbps=4096 riops=max wiops=max";
        assert_eq!(undo("io.max", before, now), ["8:16 rbps=max wbps=max riops=max wiops=max", before]);
        assert_eq!(undo("io.weight", "default 100", "default 200\n8:0 50"), ["8:0 default", "default 100"]);
        assert_eq!(undo("io.latency", "", "8:0 target=75000"), ["8:0 target=0"]);
        assert_eq!(undo("rdma.max", "mlx4_0 hca_handle=2 hca_object=max", ""), ["mlx4_0 hca_handle=2 hca_object=max"]);
        assert!(undo("misc.max", "", "").is_empty());
    }
}
