//! /sys/fs/cgroup in the container, as the host has it: one cgroup2, or a tmpfs with one
//! directory per v1 hierarchy, each rooted at the container's own cgroup by its namespace.

use crate::error::{StepResult, failed, io_failed};
use crate::mounts::{apply_options, attach, new_filesystem};
use crate::options::MountOptions;
use crate::paths::{self, Missing};
use crate::steps::MountStep;
use podwright_sys::mount_attr;
use rustix::fs::symlinkat;
use std::os::fd::{AsFd, BorrowedFd};

/// A v1 hierarchy, from a line of /proc/self/cgroup.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    /// Directory below /sys/fs/cgroup.
    directory: String,
    /// Mount option that names it.
    option: String,
    /// Controllers that get a link when the directory has several.
    links: Vec<String>,
}

/// The v1 hierarchies of proc_pid_cgroup(5), and whether there is a v2 one with them. PURE.
fn hierarchies(text: &str) -> (Vec<Hierarchy>, bool) {
    let mut list = Vec::new();
    let mut unified = false;
    for line in text.lines() {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        if controllers.is_empty() {
            unified = true;
            continue;
        }
        let directory = controllers.strip_prefix("name=").unwrap_or(controllers).to_owned();
        let parts: Vec<String> = controllers.split(',').map(str::to_owned).collect();
        let links = if parts.len() > 1 { parts } else { Vec::new() };
        list.push(Hierarchy { directory, option: controllers.to_owned(), links });
    }
    (list, unified)
}

/// Mounts it at the step's target.
///
/// # Errors
/// The failing call.
pub(crate) fn mount(root: BorrowedFd<'_>, step: &MountStep) -> StepResult<()> {
    let file = "/proc/self/cgroup";
    let text = std::fs::read_to_string(file).map_err(io_failed("read", "read", file))?;
    let (list, unified) = hierarchies(&text);
    let attributes = MountOptions { data: Vec::new(), ..step.options.clone() };
    if list.is_empty() {
        let tree = new_filesystem("cgroup2", "cgroup", &attributes)?;
        return attach(root, tree.as_fd(), &step.target, true);
    }
    let read_only = attributes.set & mount_attr::RDONLY != 0;
    let writable = MountOptions { set: attributes.set & !mount_attr::RDONLY, ..attributes.clone() };
    let shell = MountOptions { data: vec!["mode=755".into()], ..writable };
    let tmpfs = new_filesystem("tmpfs", "tmpfs", &shell)?;
    attach(root, tmpfs.as_fd(), &step.target, true)?;
    for hierarchy in &list {
        let options =
            MountOptions { data: hierarchy.option.split(',').map(str::to_owned).collect(), ..attributes.clone() };
        let tree = new_filesystem("cgroup", "cgroup", &options)?;
        attach(root, tree.as_fd(), &format!("{}/{}", step.target, hierarchy.directory), true)?;
        let top = paths::open_or_make(root, &step.target, Missing::Directory)?;
        for link in &hierarchy.links {
            symlinkat(hierarchy.directory.as_str(), &top, link.as_str()).map_err(failed("link", "symlinkat", link))?;
        }
    }
    if unified {
        let tree = new_filesystem("cgroup2", "cgroup", &attributes)?;
        attach(root, tree.as_fd(), &format!("{}/unified", step.target), true)?;
    }
    if read_only {
        let shut = MountOptions { set: mount_attr::RDONLY, ..MountOptions::default() };
        apply_options(tmpfs.as_fd(), &shut, &step.target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_read() {
        let text = "9:name=systemd:/\n4:memory:/a\n2:cpu,cpuacct:/b\n0::/\n";
        let (list, unified) = hierarchies(text);
        assert!(unified);
        let names: Vec<(&str, &str, usize)> =
            list.iter().map(|h| (h.directory.as_str(), h.option.as_str(), h.links.len())).collect();
        assert_eq!(names, [("systemd", "name=systemd", 0), ("memory", "memory", 0), ("cpu,cpuacct", "cpu,cpuacct", 2)]);
        assert_eq!(hierarchies("0::/\n"), (Vec::new(), true));
    }
}
