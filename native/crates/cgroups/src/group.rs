//! A cgroup by its path: made, limited, read, killed and removed in all hierarchies at once.

use crate::detect::{Home, Layout, Version, check_path};
use crate::error::{CgroupError, Result};
use crate::facts::{Facts, Place, facts};
use crate::file;
use crate::journal::Journal;
use crate::kill::{self, KillTarget};
use crate::resources::Resources;
use crate::{delegate, procs, tree, v1, v2};
use std::path::Path;
use std::time::Duration;

/// Makes the cgroup and applies `resources`; answers where it is and what the kernel has. One that
/// is there is kept with its limits. On failure nothing is left of what this call made.
pub fn create(layout: &Layout, path: &str, resources: Option<&Resources>) -> Result<(Facts, Resources)> {
    check_path(path)?;
    if let Some(resources) = resources {
        resources.check()?;
    }
    let made = tree::make(layout, path, wanted(layout, resources))?;
    let mut journal = if made.is_empty() { Journal::recording() } else { Journal::for_new_group() };
    let mut fill = || match resources {
        Some(r) => apply(layout, path, r, &mut journal).and_then(|()| read_asked(layout, path, r)),
        None => Ok(Resources::default()),
    };
    match fill() {
        Ok(actual) => Ok((facts(layout, path), actual)),
        Err(e) => {
            let e = journal.take_back(path, e);
            made.unmake();
            Err(e)
        }
    }
}

/// As [`create`], with a cgroup below it that its processes may divide ([`delegate`]): for a cgroup that nobody has yet.
pub fn create_delegated(
    layout: &Layout,
    path: &str,
    resources: Option<&Resources>,
    bounds: delegate::Bounds,
) -> Result<(Facts, Resources)> {
    let (facts, actual) = create(layout, path, resources)?;
    match delegate::make(layout, path, bounds, facts) {
        Ok(facts) => Ok((facts, actual)),
        Err(e) => {
            let _first_error_counts = remove(layout, path);
            Err(e)
        }
    }
}

/// Makes the cgroup without limits and says how a process is put there.
pub fn place(layout: &Layout, path: &str) -> Result<Place> {
    Ok(create(layout, path, None)?.0.place)
}

/// Which controllers the unified tree needs for this cgroup. On a hybrid host its controllers are
/// others' business, except huge pages when they are asked for and are nowhere else.
fn wanted(layout: &Layout, resources: Option<&Resources>) -> &'static [&'static str] {
    match layout.version {
        Version::V2 => &v2::subtree::CONTROLLERS,
        _ if resources.is_some_and(Resources::wants_hugepages) => &["hugetlb"],
        _ => &[],
    }
}

/// Changes the limits `resources` names, all or none; answers what the kernel then has.
pub fn update(layout: &Layout, path: &str, resources: &Resources) -> Result<Resources> {
    update_if(layout, path, resources, || Ok(()))
}

/// As [`update`], and all is taken back too when `agreed`, which is asked afterwards, fails.
pub fn update_if(
    layout: &Layout,
    path: &str,
    resources: &Resources,
    agreed: impl FnOnce() -> Result<()>,
) -> Result<Resources> {
    check_path(path)?;
    resources.check()?;
    let mut journal = Journal::recording();
    if let Err(e) = apply(layout, path, resources, &mut journal).and_then(|()| agreed()) {
        return Err(journal.take_back(path, e));
    }
    read_asked(layout, path, resources)
}

/// The limits the kernel has; `unified` stays empty.
pub fn read(layout: &Layout, path: &str) -> Result<Resources> {
    check_path(path)?;
    let mut r = Resources::default();
    match layout.home("cpu", path) {
        Home::V1(dir) => v1::cpu::get(&dir, &mut r)?,
        Home::V2(dir) => v2::cpu::get(&dir, &mut r)?,
        Home::Absent => {}
    }
    match layout.home("cpuset", path) {
        Home::V1(dir) => v1::cpuset::get(&dir, &mut r)?,
        Home::V2(dir) => v2::cpuset::get(&dir, &mut r)?,
        Home::Absent => {}
    }
    match layout.home("memory", path) {
        Home::V1(dir) => v1::memory::get(&dir, &mut r)?,
        Home::V2(dir) => v2::memory::get(&dir, &mut r)?,
        Home::Absent => {}
    }
    match layout.home("pids", path) {
        Home::V1(dir) => v1::pids::get(&dir, &mut r)?,
        Home::V2(dir) => v2::pids::get(&dir, &mut r)?,
        Home::Absent => {}
    }
    match layout.home("hugetlb", path) {
        Home::V1(dir) => v1::hugetlb::get(&dir, &layout.hugepage_sizes, &mut r)?,
        Home::V2(dir) => v2::hugetlb::get(&dir, &layout.hugepage_sizes, &mut r)?,
        Home::Absent => {}
    }
    Ok(r)
}

/// What the kernel has after `asked` was applied, in the words of the request where they mean the
/// same: v2 keeps a weight, from which shares cannot be told exactly, and the kubelet compares.
fn read_asked(layout: &Layout, path: &str, asked: &Resources) -> Result<Resources> {
    let mut r = read(layout, path)?;
    if let (Some(asked), Some(now), Home::V2(_)) = (asked.cpu_shares, r.cpu_shares, layout.home("cpu", path))
        && v2::cpu::weight(asked) == v2::cpu::weight(now)
    {
        r.cpu_shares = Some(asked);
    }
    if let (Some(dir), false) = (layout.unified_dir(path), asked.unified.is_empty()) {
        r.unified = v2::unified::get(&dir, &asked.unified)?;
    }
    Ok(r)
}

fn apply(layout: &Layout, path: &str, r: &Resources, journal: &mut Journal) -> Result<()> {
    let absent = |asked: bool, field: &'static str, controller: &'static str| match asked {
        true => Err(CgroupError::NoController { path: path.into(), field, controller }),
        false => Ok(()),
    };
    // The limit most likely to be refused comes first, so that little is taken back.
    let asks_memory = r.memory_limit_bytes.is_some() || r.memory_swap_limit_bytes.is_some();
    match layout.home("memory", path) {
        Home::V1(dir) => v1::memory::set(journal, path, &dir, r)?,
        Home::V2(dir) if asks_memory => needs(path, &dir, ("memory.max", "memory_limit_in_bytes", "memory"))
            .and_then(|()| v2::memory::set(journal, path, &dir, r))?,
        Home::V2(_) => {}
        Home::Absent => absent(asks_memory, "memory_limit_in_bytes", "memory")?,
    }
    let asks_cpuset = !r.cpuset_cpus.is_empty() || !r.cpuset_mems.is_empty();
    match layout.home("cpuset", path) {
        Home::V1(dir) => v1::cpuset::set(journal, &dir, r)?,
        Home::V2(dir) if asks_cpuset => needs(path, &dir, ("cpuset.cpus", "cpuset_cpus", "cpuset"))
            .and_then(|()| v2::cpuset::set(journal, &dir, r))?,
        Home::V2(_) => {}
        Home::Absent => absent(asks_cpuset, "cpuset_cpus", "cpuset")?,
    }
    let asks_cpu = r.cpu_shares.is_some() || r.cpu_quota.is_some() || r.cpu_period.is_some();
    match layout.home("cpu", path) {
        Home::V1(dir) => v1::cpu::set(journal, &dir, r)?,
        Home::V2(dir) => {
            v2::cpu::make_way(journal, &dir, r)?;
            if asks_cpu {
                needs(path, &dir, ("cpu.weight", "cpu_quota", "cpu")).and_then(|()| v2::cpu::set(journal, &dir, r))?;
            }
        }
        Home::Absent => absent(asks_cpu, "cpu_quota", "cpu")?,
    }
    match layout.home("pids", path) {
        Home::V1(dir) => v1::pids::set(journal, &dir, r)?,
        Home::V2(dir) if r.pids_limit.is_some() => {
            needs(path, &dir, ("pids.max", "pids_limit", "pids")).and_then(|()| v2::pids::set(journal, &dir, r))?;
        }
        Home::V2(_) => {}
        Home::Absent => absent(r.pids_limit.is_some_and(|limit| limit >= 0), "pids_limit", "pids")?,
    }
    match layout.home("hugetlb", path) {
        Home::V1(dir) => {
            has_pages(layout, path, (&dir, "limit_in_bytes"), r).and_then(|()| v1::hugetlb::set(journal, &dir, r))?;
        }
        Home::V2(dir) => {
            has_pages(layout, path, (&dir, "max"), r).and_then(|()| v2::hugetlb::set(journal, &dir, r))?;
        }
        Home::Absent => absent(r.wants_hugepages(), "hugepage_limits", "hugetlb")?,
    }
    apply_unified(layout, path, r, journal)
}

fn apply_unified(layout: &Layout, path: &str, r: &Resources, journal: &mut Journal) -> Result<()> {
    match (layout.version, r.unified.keys().next(), layout.unified_dir(path)) {
        (_, None, _) => Ok(()),
        (Version::V2, _, Some(dir)) => v2::unified::set(journal, path, &dir, &r.unified),
        (_, Some(key), _) => {
            Err(CgroupError::UnifiedKey { key: key.clone(), reason: "this host does not use cgroup v2" })
        }
    }
}

/// A v2 directory has a controller's files only when the controller is switched on for it: a file, the field that needs it
/// and the controller.
fn needs(path: &str, dir: &Path, what: (&str, &'static str, &'static str)) -> Result<()> {
    let (name, field, controller) = what;
    if file::exists(dir, name) || !dir.exists() {
        return Ok(());
    }
    Err(CgroupError::NoController { path: path.into(), field, controller })
}

/// Huge pages can be granted in sizes that the machine has, where the controller is on. Files are `hugetlb.<size>.<end>`.
fn has_pages(layout: &Layout, path: &str, files: (&Path, &str), r: &Resources) -> Result<()> {
    const FIELD: &str = "hugepage_limits";
    let (dir, end) = files;
    let is_there = |size: &str| file::exists(dir, &format!("hugetlb.{size}.{end}")) || !dir.exists();
    match r.hugepage_limits.iter().find(|huge| huge.limit != 0 && !is_there(&huge.page_size)) {
        None => Ok(()),
        Some(huge) if layout.hugepage_sizes.contains(&huge.page_size) => {
            Err(CgroupError::NoController { path: path.into(), field: FIELD, controller: "hugetlb" })
        }
        Some(huge) => {
            let reason = "is no size that this machine has";
            Err(CgroupError::Value { field: FIELD, value: huge.page_size.clone(), reason })
        }
    }
}

/// Kills every process in the cgroup and below and waits until none is left, at most `limit`.
pub fn kill(layout: &Layout, path: &str, limit: Duration) -> Result<()> {
    check_path(path)?;
    kill::kill_until_empty(KillTarget::from(&facts(layout, path)), limit)
}

/// Every process in the cgroup and below; none without the cgroup.
pub fn procs(layout: &Layout, path: &str) -> Result<Vec<i32>> {
    check_path(path)?;
    Ok(procs::list(Path::new(&facts(layout, path).procs_dir))?)
}

/// Removes the cgroup and what is below it from every hierarchy; a missing one is no error.
pub fn remove(layout: &Layout, path: &str) -> Result<()> {
    check_path(path)?;
    tree::remove(layout, path)
}
