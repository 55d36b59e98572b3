//! A process that runs already, put into a cgroup and taken out again.

use crate::detect::{Layout, below, check_path};
use crate::error::Result;
use crate::file;
use podwright_sys::errno::SysError;
use std::path::{Path, PathBuf};

/// Puts a process with all its threads into the cgroup, in every hierarchy. Answers where it was in each: directories for
/// [`rejoin`]. On failure it is put back.
pub fn join(layout: &Layout, path: &str, pid: i32) -> Result<Vec<PathBuf>> {
    check_path(path)?;
    let table = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&table)
        .map_err(|e| SysError::from_io("read the cgroups of a process", "read", &e, &table))?;
    let before = memberships(layout, &text);
    let to: Vec<PathBuf> = layout.v1_dirs(path).into_iter().chain(layout.unified_dir(path)).collect();
    match put(&to, pid) {
        Ok(()) => Ok(before),
        Err(e) => {
            let _first_error_counts = put(&before, pid);
            Err(e)
        }
    }
}

/// Puts a process where [`join`] found it; where that has gone, into the root of the hierarchy.
pub fn rejoin(layout: &Layout, dirs: &[PathBuf], pid: i32) -> Result<()> {
    for dir in dirs {
        let Err(first) = put(std::slice::from_ref(dir), pid) else { continue };
        let mounts = layout.v1.iter().map(|h| h.mount.as_path()).chain(layout.unified.as_deref());
        match mounts.filter(|mount| dir.starts_with(mount)).max_by_key(|mount| mount.as_os_str().len()) {
            Some(root) => put(&[root], pid)?,
            None => return Err(first),
        }
    }
    Ok(())
}

fn put(dirs: &[impl AsRef<Path>], pid: i32) -> Result<()> {
    Ok(dirs.iter().try_for_each(|dir| file::write(dir.as_ref(), "cgroup.procs", &pid.to_string()))?)
}

/// The directories of a process by its `/proc/<pid>/cgroup` (cgroups(7)): lines of id, controllers and path.
fn memberships(layout: &Layout, text: &str) -> Vec<PathBuf> {
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        if controllers.is_empty() {
            return layout.unified_dir(path);
        }
        let mut wanted: Vec<&str> = controllers.split(',').collect();
        wanted.sort_unstable();
        layout.v1.iter().find(|h| h.controllers == wanted).map(|h| below(&h.mount, path))
    };
    text.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_somewhere_in_each_hierarchy() -> Result<()> {
        let layout = Layout::from_mountinfo(
            "32 31 0:29 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /c/systemd rw - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /c/unified rw - cgroup2 cgroup2 rw
",
        )?;
        let found = memberships(&layout, "9:cpuacct,cpu:/\n2:name=systemd:/a/b:c\n5:rdma:/gone\n0::/x.slice\n");
        assert_eq!(found, ["/c/cpu,cpuacct/", "/c/systemd/a/b:c", "/c/unified/x.slice"].map(PathBuf::from));
        Ok(())
    }
}
