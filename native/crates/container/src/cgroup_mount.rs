//! /sys/fs/cgroup in the container, as the host has it: one cgroup2, or a tmpfs with one
//! directory per v1 hierarchy, each rooted at the container's own cgroup. The own directories are
//! bound from the host's mounts, which is ten times quicker than mounting each hierarchy anew.

use crate::error::{StepResult, failed, io_failed};
use crate::mounts::{apply_options, attach, attach_below, new_filesystem};
use crate::options::MountOptions;
use crate::sources::clone_tree;
use crate::steps::MountStep;
use podwright_sys::mount_attr;
use rustix::fs::{Mode, OFlags, fstatfs, symlinkat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A v1 hierarchy, from a line of /proc/self/cgroup.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    /// Directory below /sys/fs/cgroup.
    directory: String,
    /// Mount option that names it.
    option: String,
    /// The cgroup of the process in it.
    own: String,
    /// Controllers that get a link when the directory has several.
    links: Vec<String>,
}

/// The v1 hierarchies of proc_pid_cgroup(5), and the process's cgroup in the v2 one. PURE.
fn hierarchies(text: &str) -> (Vec<Hierarchy>, Option<String>) {
    let mut list = Vec::new();
    let mut unified = None;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, own) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default().to_owned());
        if controllers.is_empty() {
            unified = Some(own);
            continue;
        }
        let directory = controllers.strip_prefix("name=").unwrap_or(controllers).to_owned();
        let parts: Vec<String> = controllers.split(',').map(str::to_owned).collect();
        let links = if parts.len() > 1 { parts } else { Vec::new() };
        list.push(Hierarchy { directory, option: controllers.to_owned(), own, links });
    }
    (list, unified)
}

/// The cgroups of this process, to be read before it enters a cgroup namespace.
///
/// # Errors
/// The errno of the read.
pub(crate) fn own_cgroups() -> StepResult<String> {
    let file = "/proc/self/cgroup";
    std::fs::read_to_string(file).map_err(io_failed("read", "read", file))
}

/// Mounts it at the step's target; `own` is from [`own_cgroups`].
///
/// # Errors
/// The failing call.
pub(crate) fn mount(root: BorrowedFd<'_>, step: &MountStep, own: &str) -> StepResult<()> {
    let (list, unified) = hierarchies(own);
    let attributes = MountOptions { data: Vec::new(), ..step.options.clone() };
    if list.is_empty() {
        let tree = new_filesystem("cgroup2", "cgroup", &attributes)?;
        return attach(root, tree.as_fd(), &step.target, true);
    }
    let read_only = attributes.set & mount_attr::RDONLY != 0;
    let set = attributes.set & !mount_attr::RDONLY;
    let label = step.options.data.iter().filter(|o| o.starts_with("context=")).cloned();
    let data = std::iter::once("mode=755".to_owned()).chain(label).collect();
    let shell = MountOptions { set, data, ..attributes.clone() };
    let tmpfs = new_filesystem("tmpfs", "tmpfs", &shell)?;
    attach(root, tmpfs.as_fd(), &step.target, true)?;
    for hierarchy in &list {
        let tree = match bound(&hierarchy.directory, &hierarchy.own, V1_MAGIC, &attributes)? {
            Some(tree) => tree,
            None => {
                let data = hierarchy.option.split(',').map(str::to_owned).collect();
                new_filesystem("cgroup", "cgroup", &MountOptions { data, ..attributes.clone() })?
            }
        };
        attach_below(tmpfs.as_fd(), tree.as_fd(), &hierarchy.directory)?;
        for link in &hierarchy.links {
            symlinkat(hierarchy.directory.as_str(), &tmpfs, link.as_str()).map_err(failed(
                "link",
                "symlinkat",
                link,
            ))?;
        }
    }
    if let Some(own) = unified {
        let tree = match bound("unified", &own, V2_MAGIC, &attributes)? {
            Some(tree) => tree,
            None => new_filesystem("cgroup2", "cgroup", &attributes)?,
        };
        attach_below(tmpfs.as_fd(), tree.as_fd(), "unified")?;
    }
    if read_only {
        let shut = MountOptions { set: mount_attr::RDONLY, ..MountOptions::default() };
        apply_options(tmpfs.as_fd(), &shut, &step.target)?;
    }
    Ok(())
}

/// `f_type` of a v1 hierarchy.
const V1_MAGIC: u32 = 0x0027_e0eb;

/// `f_type` of cgroup2.
const V2_MAGIC: u32 = 0x6367_7270;

/// A copy of the host's mount of a hierarchy, from the process's own cgroup down; none when the
/// host does not have it in the usual place.
fn bound(hierarchy: &str, own: &str, magic: u32, options: &MountOptions) -> StepResult<Option<OwnedFd>> {
    let path = format!("/sys/fs/cgroup/{hierarchy}{own}");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = rustix::fs::open(&path, flags, Mode::empty()) else { return Ok(None) };
    let stat = fstatfs(&directory).map_err(failed("look at", "fstatfs", &path))?;
    if stat.f_type as u32 != magic {
        return Ok(None);
    }
    let tree = clone_tree(directory.as_fd(), false, &path)?;
    apply_options(tree.as_fd(), options, &path)?;
    Ok(Some(tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_read() {
        let text = "9:name=systemd:/\n4:memory:/a\n2:cpu,cpuacct:/b\n0::/u:v\n";
        let (list, unified) = hierarchies(text);
        assert_eq!(unified.as_deref(), Some("/u:v"));
        let names: Vec<(&str, &str, &str, usize)> =
            list.iter().map(|h| (h.directory.as_str(), h.option.as_str(), h.own.as_str(), h.links.len())).collect();
        let expected = [
            ("systemd", "name=systemd", "/", 0),
            ("memory", "memory", "/a", 0),
            ("cpu,cpuacct", "cpu,cpuacct", "/b", 2),
        ];
        assert_eq!(names, expected);
        assert_eq!(hierarchies("0::/\n"), (Vec::new(), Some("/".to_owned())));
    }
}
