//! The batch read, with the files of recently read cgroups kept open.

use super::files::{Files, Missing, Text};
use super::{Stats, v1, v2};
use crate::detect::{Layout, check_path};
use crate::error::Result;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Reads usage. Holds at most `most_open` descriptors plus those of the cgroup at hand; the
/// cgroups longest not read lose theirs first.
#[derive(Debug)]
pub struct StatsReader {
    layout: Layout,
    most_open: usize,
    open: usize,
    turn: u64,
    groups: HashMap<String, Group>,
    text: Text,
}

/// How much is read of a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// CPU time, memory with its faults, swap and what is available, tasks, pressure: half of the files.
    Usage,
    /// Also peaks, limits, throttling, devices and huge pages.
    All,
}

/// A cgroup's open files and directories.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) files: Files,
    pub(crate) dirs: Dirs,
    /// Page sizes it counts; looked for once, because most cgroups have none and two failed opens
    /// cost as much as half the other files.
    pub(crate) page_sizes: Option<Vec<String>>,
    last_read: u64,
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

impl StatsReader {
    /// A reader over `layout` that keeps at most `most_open` files open.
    pub fn new(layout: Layout, most_open: usize) -> Self {
        Self { layout, most_open, open: 0, turn: 0, groups: HashMap::new(), text: Text::new() }
    }

    /// Usage of each cgroup, in order; `None` for one that does not exist. What `depth` leaves out has its default.
    pub fn read(&mut self, paths: &[String], depth: Depth) -> Result<Vec<Option<Stats>>> {
        self.turn += 1;
        let mut all = Vec::with_capacity(paths.len());
        for path in paths {
            check_path(path)?;
            all.push(self.read_one(path, depth)?);
        }
        Ok(all)
    }

    /// Closes the files of a cgroup that was removed, and of those below it.
    pub fn forget(&mut self, path: &str) {
        let below = format!("{path}/");
        let open = &mut self.open;
        self.groups.retain(|at, group| {
            let gone = at == path || at.starts_with(&below);
            if gone {
                *open -= group.files.count();
            }
            !gone
        });
    }

    /// How many descriptors are held.
    pub fn open_files(&self) -> usize {
        self.open
    }

    fn read_one(&mut self, path: &str, depth: Depth) -> Result<Option<Stats>> {
        // A second time, for a cgroup that was removed and made again since its files were opened.
        for _ in 0..2 {
            let (mut group, held) = match self.groups.remove(path) {
                Some(group) => {
                    let held = group.files.count();
                    (group, held)
                }
                None => (Group { files: Files::new(), dirs: self.dirs(path), page_sizes: None, last_read: 0 }, 0),
            };
            self.open -= held;
            match sample(&self.layout, &mut group, depth, &mut self.text) {
                Ok(stats) => {
                    if stats.is_some() {
                        self.keep(path, group);
                    }
                    return Ok(stats);
                }
                Err(Missing::Stale) => {}
                Err(Missing::Failed(e)) => return Err(e.into()),
            }
        }
        Ok(None)
    }

    fn keep(&mut self, path: &str, mut group: Group) {
        group.last_read = self.turn;
        self.open += group.files.count();
        self.groups.insert(path.to_owned(), group);
        while self.open > self.most_open {
            // Of a batch larger than the bound the last stay, so that each batch has some hits.
            let Some(oldest) = self.groups.iter().min_by_key(|(_, g)| g.last_read).map(|(path, _)| path.clone()) else {
                return;
            };
            if let Some(group) = self.groups.remove(&oldest) {
                self.open -= group.files.count();
            }
        }
    }

    fn dirs(&self, path: &str) -> Dirs {
        let l = &self.layout;
        Dirs {
            cpu: l.v1_dir("cpu", path),
            cpuacct: l.v1_dir("cpuacct", path),
            memory: l.v1_dir("memory", path),
            pids: l.v1_dir("pids", path),
            blkio: l.v1_dir("blkio", path),
            hugetlb: l.v1_dir("hugetlb", path),
            unified: l.unified_dir(path),
        }
    }
}

/// One cgroup's usage; `None` when it does not exist.
fn sample(
    layout: &Layout,
    group: &mut Group,
    depth: Depth,
    text: &mut Text,
) -> std::result::Result<Option<Stats>, Missing> {
    let mut stats = Stats { timestamp_ns: now_ns(), ..Stats::default() };
    // A hybrid host may have any controller in either tree.
    v1::cpu(group, depth, text, &mut stats)?;
    if stats.cpu.is_none() {
        v2::cpu(group, text, &mut stats)?;
    }
    v1::memory(group, depth, text, &mut stats)?;
    if stats.memory.is_none() {
        v2::memory(group, depth, text, &mut stats)?;
    }
    v1::pids(group, depth, text, &mut stats)?;
    if stats.pids.is_none() {
        v2::pids(group, depth, text, &mut stats)?;
    }
    if stats.cpu.is_none() && stats.memory.is_none() && stats.pids.is_none() {
        return Ok(None);
    }
    v2::pressure(group, text, &mut stats)?;
    if depth == Depth::Usage {
        return Ok(Some(stats));
    }
    if group.page_sizes.is_none() {
        group.page_sizes = Some(page_sizes(&layout.hugepage_sizes, &group.dirs));
    }
    v1::io(group, text, &mut stats)?;
    if group.dirs.blkio.is_none() {
        v2::io(group, text, &mut stats)?;
    }
    v1::hugetlb(group, text, &mut stats)?;
    v2::hugetlb(group, text, &mut stats)?;
    Ok(Some(stats))
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

fn now_ns() -> u64 {
    // A clock before 1970 gives 0.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}
