//! Which cgroup hierarchies this host has and where they are mounted.

use crate::error::{CgroupError, Result};
use crate::file;
use podwright_sys::errno::SysError;
use std::path::{Path, PathBuf};

/// How the controllers are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Version {
    /// v1 hierarchies only.
    V1,
    /// v1 hierarchies beside a unified tree.
    Hybrid,
    /// One unified tree.
    V2,
}

/// A mounted v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers (several when co-mounted), or `name=...` for a named one.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
}

/// The host's hierarchies. Made once; they do not change while processes run in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The kind of host.
    pub version: Version,
    /// Where the unified tree is mounted.
    pub unified: Option<PathBuf>,
    /// Controllers the unified tree's root offers.
    pub unified_controllers: Vec<String>,
    /// The v1 hierarchies, each once.
    pub v1: Vec<Hierarchy>,
    /// Huge page sizes of this kernel as the hugetlb controller spells them: "2MB".
    pub hugepage_sizes: Vec<String>,
}

/// In which tree a controller is on this host, and a cgroup's directory there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// A v1 hierarchy.
    V1(PathBuf),
    /// The unified tree.
    V2(PathBuf),
    /// None.
    Absent,
}

/// v1 mount options that are not controllers (mount(8), kernel/cgroup/cgroup-v1.c).
const V1_FLAGS: [&str; 8] =
    ["rw", "ro", "noprefix", "clone_children", "cpuset_v2_mode", "xattr", "favordynmods", "release_agent"];

impl Layout {
    /// Reads `/proc/self/mountinfo` (proc_pid_mountinfo(5)) and the unified root's controllers.
    pub fn detect() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        let text =
            std::fs::read_to_string(path).map_err(|e| SysError::from_io("read the mount table", "read", &e, path))?;
        let mut layout = Self::from_mountinfo(&text)?;
        if let Some(root) = &layout.unified {
            let controllers = file::read(root, "cgroup.controllers")?;
            layout.unified_controllers = controllers.split_whitespace().map(str::to_owned).collect();
        }
        layout.hugepage_sizes = hugepage_sizes(Path::new("/sys/kernel/mm/hugepages"));
        Ok(layout)
    }

    /// The layout of a mount table. The first mount of a hierarchy counts, later ones are copies.
    pub fn from_mountinfo(text: &str) -> Result<Self> {
        let mut unified = None;
        let mut v1: Vec<Hierarchy> = Vec::new();
        for line in text.lines() {
            // id parent major:minor root mount-point options [optional fields] - type source super-options
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let (mut left, mut right) = (left.split(' '), right.split(' '));
            let (Some(mount), Some(kind)) = (left.nth(4), right.next()) else { continue };
            let mount = PathBuf::from(unescape(mount));
            match kind {
                "cgroup2" if unified.is_none() => unified = Some(mount),
                "cgroup" => {
                    let controllers = v1_controllers(right.nth(1).unwrap_or_default());
                    if !controllers.is_empty() && v1.iter().all(|h| h.controllers != controllers) {
                        v1.push(Hierarchy { controllers, mount });
                    }
                }
                _ => {}
            }
        }
        let version = match (&unified, v1.is_empty()) {
            (None, true) => return Err(CgroupError::NoCgroups("neither cgroup nor cgroup2 is mounted")),
            (None, false) => Version::V1,
            (Some(_), false) => Version::Hybrid,
            (Some(_), true) => Version::V2,
        };
        Ok(Self { version, unified, unified_controllers: Vec::new(), v1, hugepage_sizes: Vec::new() })
    }

    /// The directory of `path` in the unified tree.
    pub fn unified_dir(&self, path: &str) -> Option<PathBuf> {
        self.unified.as_deref().map(|root| below(root, path))
    }

    /// The directory of `path` in the v1 hierarchy of `controller`.
    pub fn v1_dir(&self, controller: &str, path: &str) -> Option<PathBuf> {
        let hierarchy = self.v1.iter().find(|h| h.controllers.iter().any(|c| c == controller))?;
        Some(below(&hierarchy.mount, path))
    }

    /// The directories of `path` in all v1 hierarchies.
    pub fn v1_dirs(&self, path: &str) -> Vec<PathBuf> {
        self.v1.iter().map(|h| below(&h.mount, path)).collect()
    }

    /// Where `controller` is and the directory of `path` there.
    pub fn home(&self, controller: &str, path: &str) -> Home {
        if let Some(dir) = self.v1_dir(controller, path) {
            return Home::V1(dir);
        }
        let offered = self.unified_controllers.iter().any(|c| c == controller);
        match self.unified_dir(path) {
            Some(dir) if offered => Home::V2(dir),
            _ => Home::Absent,
        }
    }
}

fn v1_controllers(options: &str) -> Vec<String> {
    let mut found: Vec<String> = options
        .split(',')
        .filter(|o| o.starts_with("name=") || (!o.contains('=') && !V1_FLAGS.contains(o) && !o.is_empty()))
        .map(str::to_owned)
        .collect();
    found.sort();
    found
}

/// Directory names such as `hugepages-2048kB`; none without huge pages.
fn hugepage_sizes(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut sizes: Vec<u64> = names
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok())
        .collect();
    sizes.sort_unstable();
    sizes.into_iter().map(size_name).collect()
}

/// As mm/hugetlb_cgroup.c (mem_fmt) spells a size given in KiB.
fn size_name(kib: u64) -> String {
    match kib {
        k if k >= 1 << 20 => format!("{}GB", k >> 20),
        k if k >= 1 << 10 => format!("{}MB", k >> 10),
        k => format!("{k}KB"),
    }
}

/// Octal escapes of the mount table: space, tab, newline, backslash.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// The directory of cgroup `path` below a hierarchy's root.
pub(crate) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Checks that `path` is absolute, below the root, and made of plain names (no `.`, `..`, empty
/// or overlong ones, no control characters).
pub fn check_path(path: &str) -> Result<()> {
    let refuse = |reason| Err(CgroupError::Path { path: path.to_owned(), reason });
    let Some(rest) = path.strip_prefix('/') else { return refuse("is not absolute") };
    if rest.is_empty() {
        return refuse("is the root");
    }
    if path.len() > 3072 {
        return refuse("is too long");
    }
    for name in rest.split('/') {
        match name {
            "" => return refuse("has an empty name"),
            "." | ".." => return refuse("has a relative name"),
            _ if name.len() > 255 => return refuse("has a name longer than 255 bytes"),
            _ if name.chars().any(char::is_control) => return refuse("has a control character"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/systemd/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
99 31 0:32 / /other/memory rw,relatime - cgroup cgroup rw,memory
";

    #[test]
    fn hybrid_hosts_have_both_trees() -> Result<()> {
        let layout = Layout::from_mountinfo(HYBRID)?;
        assert_eq!(layout.version, Version::Hybrid);
        assert_eq!(layout.v1.len(), 3);
        assert_eq!(layout.v1_dir("cpuacct", "/a/b"), Some("/sys/fs/cgroup/cpu,cpuacct/a/b".into()));
        assert_eq!(layout.v1_dir("memory", "/a"), Some("/sys/fs/cgroup/memory/a".into()));
        assert_eq!(layout.v1[2].controllers, ["name=systemd"]);
        assert_eq!(layout.unified_dir("/a"), Some("/sys/fs/cgroup/unified/a".into()));
        assert_eq!(layout.home("memory", "/a"), Home::V1("/sys/fs/cgroup/memory/a".into()));
        assert_eq!(layout.home("pids", "/a"), Home::Absent);
        Ok(())
    }

    #[test]
    fn unified_and_legacy_hosts_are_told_apart() -> Result<()> {
        let v2 = Layout::from_mountinfo("25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n")?;
        assert_eq!((v2.version, v2.v1.len()), (Version::V2, 0));
        let v1 = Layout::from_mountinfo("25 20 0:22 / /sys/fs/cgroup/my\\040mem rw - cgroup none rw,memory\n")?;
        assert_eq!(v1.version, Version::V1);
        assert_eq!(v1.v1[0].mount, Path::new("/sys/fs/cgroup/my mem"));
        let offering = Layout { unified_controllers: vec!["pids".into()], ..v2 };
        assert_eq!(offering.home("pids", "/a"), Home::V2("/sys/fs/cgroup/a".into()));
        assert!(Layout::from_mountinfo("1 1 0:1 / / rw - ext4 /dev/vda rw\n").is_err());
        Ok(())
    }

    #[test]
    fn huge_page_sizes_are_spelled_as_the_controller_does() {
        assert_eq!([64, 2048, 1_048_576].map(size_name), ["64KB", "2MB", "1GB"]);
    }

    #[test]
    fn paths_cannot_leave_the_tree() {
        assert!(check_path("/podwright/pods/abc").is_ok());
        for bad in ["", "/", "a", "/a/../b", "/a//b", "/a/", "/./a", "/a\nb"] {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
    }
}
