//! The unified tree's files as text: what is written for a request and what is read back. Plain
//! files in a temporary directory stand in for the kernel's, so nothing here needs cgroup v2.

use podwright_cgroups::{CgroupError, HugepageLimit, Layout, Resources, Version, delegate, group};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// A tree with one cgroup `/pod/c` that has these files.
struct Tree {
    root: PathBuf,
    layout: Layout,
}

impl Tree {
    fn new(files: &[(&str, &str)]) -> std::io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("podwright-v2-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        let dir = root.join("pod/c");
        std::fs::create_dir_all(&dir)?;
        for (name, text) in files {
            std::fs::write(dir.join(name), format!("{text}\n"))?;
        }
        let controllers = ["cpu", "cpuset", "memory", "pids", "hugetlb", "io"].map(str::to_owned).to_vec();
        let layout = Layout {
            version: Version::V2,
            unified: Some(root.clone()),
            unified_controllers: controllers,
            v1: Vec::new(),
            hugepage_sizes: vec!["2MB".into()],
        };
        Ok(Self { root, layout })
    }

    /// A container's usual files.
    fn usual() -> std::io::Result<Self> {
        Self::new(&[
            ("cpu.weight", "100"),
            ("cpu.max", "max 100000"),
            ("cpuset.cpus", ""),
            ("cpuset.mems", ""),
            ("memory.max", "max"),
            ("memory.current", "1048576"),
            ("memory.swap.max", "max"),
            ("memory.oom.group", "0"),
            ("memory.high", "max"),
            ("memory.stat", "anon 600000\nfile 400000\ninactive_file 200000\nactive_file 100000\nslab_reclaimable 0"),
            ("pids.max", "max"),
            ("hugetlb.2MB.max", "max"),
            ("hugetlb.2MB.rsvd.max", "max"),
        ])
    }

    fn update(&self, r: &Resources) -> podwright_cgroups::Result<Resources> {
        group::update(&self.layout, "/pod/c", r)
    }

    fn text(&self, name: &str) -> std::io::Result<String> {
        Ok(std::fs::read_to_string(self.dir().join(name))?.trim_end().to_owned())
    }

    fn dir(&self) -> PathBuf {
        self.root.join("pod/c")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.root);
    }
}

fn resources(change: impl FnOnce(&mut Resources)) -> Resources {
    let mut r = Resources::default();
    change(&mut r);
    r
}

/// Plain files keep the tail of a longer old text; values of equal or greater length avoid that.
const MIB: i64 = 1 << 20;

#[test]
fn each_limit_is_written_as_the_kernel_reads_it() -> Tested {
    let tree = Tree::usual()?;
    let actual = tree.update(&resources(|r| {
        r.cpu_shares = Some(2048);
        r.cpu_quota = Some(50_000);
        r.cpuset_cpus = "0-1".into();
        r.cpuset_mems = "0".into();
        r.memory_limit_bytes = Some(64 * MIB);
        r.memory_swap_limit_bytes = Some(96 * MIB);
        r.pids_limit = Some(100);
        r.hugepage_limits = vec![HugepageLimit { page_size: "2MB".into(), limit: 4 * MIB }];
        r.unified = [("memory.oom.group".to_owned(), "1".to_owned())].into();
    }))?;
    assert_eq!(tree.text("cpu.weight")?, "174");
    assert_eq!(tree.text("cpu.max")?, "50000 100000");
    assert_eq!(tree.text("memory.max")?, "67108864");
    assert_eq!(tree.text("memory.swap.max")?, "33554432");
    assert_eq!(tree.text("pids.max")?, "100");
    assert_eq!(tree.text("hugetlb.2MB.max")?, "4194304");
    assert_eq!(tree.text("hugetlb.2MB.rsvd.max")?, "4194304");
    assert_eq!(tree.text("memory.oom.group")?, "1");
    // Answered in the words of the request: 2048 shares, not the least that make this weight.
    assert_eq!(actual.cpu_shares, Some(2048));
    assert_eq!((actual.cpu_quota, actual.cpu_period), (Some(50_000), Some(100_000)));
    assert_eq!((actual.memory_limit_bytes, actual.memory_swap_limit_bytes), (Some(64 * MIB), Some(96 * MIB)));
    assert_eq!(actual.unified.get("memory.oom.group").map(String::as_str), Some("1"));
    Ok(())
}

#[test]
fn what_somebody_else_does_not_agree_to_is_taken_back() -> Tested {
    let tree = Tree::usual()?;
    let wanted = resources(|r| {
        r.cpu_shares = Some(1024);
        r.memory_limit_bytes = Some(64 * MIB);
        r.unified = [("memory.oom.group".to_owned(), "1".to_owned()), ("memory.high".into(), "999".into())].into();
    });
    let refuse = || {
        let seen = (tree.text("memory.oom.group"), tree.text("memory.high"));
        assert!(matches!(seen, (Ok(group), Ok(high)) if group == "1" && high == "999"));
        Err(CgroupError::NoCgroups("refused"))
    };
    assert!(group::update_if(&tree.layout, "/pod/c", &wanted, refuse).is_err());
    assert_eq!((tree.text("memory.oom.group")?.as_str(), tree.text("memory.high")?.as_str()), ("0", "max"));
    // a plain file keeps the tail of a longer old text
    assert!(tree.text("memory.max")?.starts_with("max"));
    Ok(())
}

#[test]
fn a_limit_that_has_been_outgrown_meanwhile_is_not_taken_back() -> Tested {
    let tree = Tree::usual()?;
    std::fs::write(tree.dir().join("memory.max"), "67108864")?;
    let wanted = resources(|r| {
        r.memory_limit_bytes = Some(256 * MIB);
        r.unified = [("memory.oom.group".to_owned(), "1".to_owned())].into();
    });
    let refuse = |used: i64| {
        let grown = std::fs::write(tree.dir().join("memory.current"), (used * MIB).to_string());
        assert!(grown.is_ok());
        Err(CgroupError::NoCgroups("refused"))
    };
    let failure = group::update_if(&tree.layout, "/pod/c", &wanted, || refuse(200));
    let message = failure.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(message.contains("refused; the new memory limit stays"), "{message}");
    assert!(message.contains("memory limit 67108864 of /pod/c is below its usage"), "{message}");
    // the kernel would have killed
    assert_eq!((tree.text("memory.max")?.as_str(), tree.text("memory.oom.group")?.as_str()), ("268435456", "0"));
    // what fits comes back; a plain file keeps the tail of a longer text
    std::fs::write(tree.dir().join("memory.max"), "67108864")?;
    let failure = group::update_if(&tree.layout, "/pod/c", &wanted, || refuse(30));
    assert!(matches!(failure, Err(CgroupError::NoCgroups(_))), "{failure:?}");
    assert!(tree.text("memory.max")?.starts_with("67108864"));
    Ok(())
}

#[test]
fn a_limit_for_which_no_room_can_be_made_stays_and_is_told_of() -> Tested {
    let tree = Tree::usual()?;
    std::fs::write(tree.dir().join("memory.max"), "67108864")?;
    // any failure that is not the cgroup's end: a kernel has EINTR, EBUSY and EIO
    std::fs::create_dir(tree.dir().join("memory.reclaim"))?;
    let wanted = resources(|r| r.memory_limit_bytes = Some(256 * MIB));
    let refuse = || {
        let grown = std::fs::write(tree.dir().join("memory.current"), (200 * MIB).to_string());
        assert!(grown.is_ok());
        Err(CgroupError::NoCgroups("refused"))
    };
    let message = group::update_if(&tree.layout, "/pod/c", &wanted, refuse).map_err(|e| e.to_string()).err();
    let message = message.unwrap_or_default();
    assert!(
        message.contains("refused; the new memory limit stays: ") && message.contains("memory.reclaim"),
        "{message}"
    );
    assert_eq!(tree.text("memory.max")?, "268435456");
    // of one that has gone nothing stays
    std::fs::write(tree.dir().join("memory.max"), "67108864")?;
    let go = || {
        assert!(std::fs::remove_file(tree.dir().join("memory.current")).is_ok());
        Err(CgroupError::NoCgroups("refused"))
    };
    std::fs::write(tree.dir().join("memory.current"), "0")?;
    let failure = group::update_if(&tree.layout, "/pod/c", &wanted, go);
    assert!(matches!(failure, Err(CgroupError::NoCgroups(_))), "{failure:?}");
    Ok(())
}

#[test]
fn what_is_not_asked_for_stays() -> Tested {
    let tree = Tree::usual()?;
    let actual = tree.update(&resources(|r| r.cpu_period = Some(200_000)))?;
    assert_eq!(tree.text("cpu.max")?, "max 200000");
    assert_eq!(tree.text("cpu.weight")?, "100");
    assert_eq!((actual.cpu_quota, actual.memory_limit_bytes, actual.pids_limit), (Some(-1), Some(-1), Some(-1)));
    Ok(())
}

#[test]
fn swap_counts_memory_in_the_request_and_not_in_the_file() -> Tested {
    let tree = Tree::usual()?;
    let swap = |memory, total| {
        resources(|r| {
            r.memory_limit_bytes = memory;
            r.memory_swap_limit_bytes = Some(total);
        })
    };
    tree.update(&swap(Some(64 * MIB), 64 * MIB))?;
    assert!(tree.text("memory.swap.max")?.starts_with('0'));
    assert!(matches!(tree.update(&swap(Some(64 * MIB), 63 * MIB)), Err(CgroupError::Value { .. })));
    // Against the limit that is there.
    std::fs::write(tree.dir().join("memory.swap.max"), "")?;
    tree.update(&swap(None, 65 * MIB))?;
    assert_eq!(tree.text("memory.swap.max")?, "1048576");
    std::fs::write(tree.dir().join("memory.swap.max"), "0")?;
    tree.update(&swap(None, -1))?;
    assert_eq!(tree.text("memory.swap.max")?, "max");
    Ok(())
}

#[test]
fn a_kernel_without_swap_accounting_takes_limits_that_allow_no_swap() -> Tested {
    let tree = Tree::usual()?;
    std::fs::remove_file(tree.dir().join("memory.swap.max"))?;
    let limits = |total| {
        resources(|r| {
            r.memory_limit_bytes = Some(64 * MIB);
            r.memory_swap_limit_bytes = Some(total);
        })
    };
    assert_eq!(tree.update(&limits(64 * MIB))?.memory_swap_limit_bytes, None);
    tree.update(&limits(-1))?;
    assert!(matches!(tree.update(&limits(65 * MIB)), Err(CgroupError::NoController { .. })));
    Ok(())
}

#[test]
fn a_memory_limit_below_what_is_held_changes_nothing() -> Tested {
    let tree = Tree::usual()?;
    let refused = tree.update(&resources(|r| {
        r.memory_limit_bytes = Some(500_000);
        r.pids_limit = Some(100);
    }));
    // Without memory.reclaim: usage less what is reclaimable.
    assert!(matches!(refused, Err(CgroupError::MemoryBelowUsage { usage: 748_576, .. })), "{refused:?}");
    assert_eq!((tree.text("memory.max")?, tree.text("pids.max")?), ("max".into(), "max".into()));
    tree.update(&resources(|r| r.memory_limit_bytes = Some(800_000)))?;
    assert_eq!(tree.text("memory.max")?, "800000");
    Ok(())
}

#[test]
fn a_failure_takes_back_what_was_written() -> Tested {
    let tree = Tree::usual()?;
    let refused = tree.update(&resources(|r| {
        r.memory_limit_bytes = Some(64 * MIB);
        r.cpu_quota = Some(50_000);
        r.unified = [("memory.nonsense".to_owned(), "1".to_owned())].into();
    }));
    assert!(matches!(refused, Err(CgroupError::UnifiedKey { .. })), "{refused:?}");
    assert!(tree.text("memory.max")?.starts_with("max"));
    assert!(tree.text("cpu.max")?.starts_with("max 100000"));
    Ok(())
}

#[test]
fn huge_page_limits_of_zero_need_no_controller() -> Tested {
    let tree = Tree::new(&[])?;
    let huge =
        |size: &str, limit| resources(|r| r.hugepage_limits = vec![HugepageLimit { page_size: size.into(), limit }]);
    for size in ["1GB", "2MB"] {
        tree.update(&huge(size, 0))?;
    }
    let without = tree.update(&huge("2MB", 2 * MIB));
    assert!(matches!(without, Err(CgroupError::NoController { field: "hugepage_limits", .. })), "{without:?}");
    let strange = tree.update(&huge("1GB", 1 << 30)).map_err(|e| e.to_string());
    assert_eq!(strange.err().as_deref(), Some("hugepage_limits 1GB: is no size that this machine has"));
    std::fs::remove_dir_all(tree.dir())?;
    let gone = tree.update(&huge("1GB", 1 << 30));
    assert_eq!(gone.map_err(|e| e.errno()).err(), Some(2), "that is another matter");
    Ok(())
}

#[test]
fn a_controller_that_is_off_is_named() -> Tested {
    let tree = Tree::new(&[("cpu.weight", "100"), ("cpu.max", "max 100000")])?;
    for (named, r) in [
        ("pids_limit", resources(|r| r.pids_limit = Some(5))),
        ("memory_limit_in_bytes", resources(|r| r.memory_limit_bytes = Some(MIB))),
        ("cpuset_cpus", resources(|r| r.cpuset_cpus = "0".into())),
    ] {
        let refused = tree.update(&r);
        assert!(matches!(refused, Err(CgroupError::NoController { field, .. }) if field == named), "{refused:?}");
    }
    Ok(())
}

#[test]
fn controllers_are_switched_on_from_the_root_down() -> Tested {
    let tree = Tree::new(&[])?;
    for dir in [tree.root.clone(), tree.root.join("pod")] {
        std::fs::write(dir.join("cgroup.controllers"), "cpuset cpu io memory rdma\n")?;
        std::fs::write(dir.join("cgroup.subtree_control"), "cpu\n")?;
    }
    group::create(&tree.layout, "/pod/new", None)?;
    for dir in [tree.root.clone(), tree.root.join("pod")] {
        let written = std::fs::read_to_string(dir.join("cgroup.subtree_control"))?;
        assert_eq!(written.trim_end(), "+cpuset +io +memory +rdma");
    }
    assert!(Path::new(&tree.root.join("pod/new")).is_dir());
    group::remove(&tree.layout, "/pod/new")?;
    assert!(!tree.root.join("pod/new").exists() && tree.root.join("pod").exists());
    Ok(())
}

#[test]
fn a_failed_creation_leaves_nothing() -> Tested {
    let tree = Tree::new(&[])?;
    let refused = group::create(&tree.layout, "/other/deep/c", Some(&resources(|r| r.pids_limit = Some(5))));
    assert!(refused.is_err());
    assert!(!tree.root.join("other").exists());
    Ok(())
}

#[test]
fn facts_name_the_files_of_the_unified_tree() -> Tested {
    let tree = Tree::new(&[("cgroup.kill", ""), ("memory.events", ""), ("memory.events.local", "")])?;
    let facts = podwright_cgroups::facts::facts(&tree.layout, "/pod/c");
    let dir = tree.dir().to_string_lossy().into_owned();
    assert_eq!(facts.place.unified_dir, dir);
    assert!(facts.place.v1_tasks.is_empty() && facts.freezer_dir.is_empty() && facts.devices_v1_dir.is_empty());
    assert_eq!(facts.kill_file, format!("{dir}/cgroup.kill"));
    assert_eq!(facts.memory_events, format!("{dir}/memory.events.local"));
    assert_eq!((facts.procs_dir, facts.devices_v2_dir), (dir.clone(), dir));
    Ok(())
}

#[test]
fn a_map_of_files_is_written_whole_or_not_at_all() -> Tested {
    let tree = Tree::usual()?;
    // by the text of its file only: a kernel has no limit of RDMA without such a device
    std::fs::write(tree.dir().join("rdma.max"), "mlx5_0 hca_handle=max hca_object=max\n")?;
    std::fs::write(tree.dir().join("memory.zswap.max"), "max\n")?;
    let map = |list: &[(&str, &str)]| {
        let unified = list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Resources { unified, ..Resources::default() }
    };
    tree.update(&map(&[("rdma.max", "mlx5_0 hca_handle=4 hca_object=90000\n"), ("memory.zswap.max", "900")]))?;
    assert_eq!(tree.text("rdma.max")?, "mlx5_0 hca_handle=4 hca_object=90000");
    assert_eq!(tree.text("memory.zswap.max")?, "900");
    let refused = tree.update(&map(&[("memory.high", "123"), ("pids.peak", "1")]));
    assert!(matches!(refused, Err(CgroupError::UnifiedKey { .. })), "{refused:?}");
    assert_eq!(tree.text("memory.high")?, "max");
    Ok(())
}

#[test]
fn an_idle_group_has_no_weight_until_it_is_idle_no_more() -> Tested {
    let tree = Tree::usual()?;
    std::fs::write(tree.dir().join("cpu.idle"), "1")?;
    tree.update(&resources(|r| r.cpu_shares = Some(2048)))?;
    assert_eq!(tree.text("cpu.weight")?, "100");
    tree.update(&resources(|r| {
        r.cpu_shares = Some(2048);
        r.unified = [("cpu.idle".to_owned(), "0".to_owned())].into();
    }))?;
    assert_eq!((tree.text("cpu.weight")?, tree.text("cpu.idle")?), ("174".into(), "0".into()));
    Ok(())
}

/// The kernel's side of a write: a plain file changes no other.
fn failing(tree: &Tree, files: &[(&str, &str)]) -> podwright_cgroups::Result<()> {
    for (name, text) in files {
        assert!(std::fs::write(tree.dir().join(name), text).is_ok());
    }
    Err(CgroupError::NoCgroups("refused"))
}

#[test]
fn a_weight_that_went_with_another_file_comes_back() -> Tested {
    let tree = Tree::usual()?;
    for (name, before, wish, weight) in [("cpu.idle", "0", "1", "0"), ("cpu.weight.nice", "0", "5", "33")] {
        std::fs::write(tree.dir().join("cpu.weight"), "174")?;
        std::fs::write(tree.dir().join(name), before)?;
        let wanted = resources(|r| r.unified = [(name.to_owned(), wish.to_owned())].into());
        let refuse = || failing(&tree, &[("cpu.weight", weight)]);
        assert!(group::update_if(&tree.layout, "/pod/c", &wanted, refuse).is_err());
        assert_eq!((tree.text(name)?.as_str(), tree.text("cpu.weight")?.as_str()), (before, "174"), "{name}");
    }
    Ok(())
}

#[test]
fn a_partition_that_the_kernel_does_not_make_is_an_error() -> Tested {
    let tree = Tree::usual()?;
    // longer than what is written: plain files keep its tail, and the kernel keeps its reason
    std::fs::write(tree.dir().join("cpuset.cpus.partition"), "none invalid (Parent is not a partition root)")?;
    let wanted = [("cpuset.cpus.partition".to_owned(), "root".to_owned())].into();
    let refused = tree.update(&Resources { unified: wanted, ..Resources::default() });
    let message = refused.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(message.contains("root invalid (Parent is not a partition root)"), "{message}");
    assert!(tree.text("cpuset.cpus.partition")?.starts_with("none"));
    Ok(())
}

#[test]
fn memory_max_of_the_map_is_refused_below_usage_too() -> Tested {
    let tree = Tree::usual()?;
    let wanted = [("memory.max".to_owned(), "500K".to_owned())].into();
    let refused = tree.update(&Resources { unified: wanted, ..Resources::default() });
    assert!(matches!(refused, Err(CgroupError::MemoryBelowUsage { limit: 512_000, .. })), "{refused:?}");
    assert_eq!(tree.text("memory.max")?, "max");
    Ok(())
}

#[test]
fn a_delegated_cgroup_is_below_the_one_with_the_limits() -> Tested {
    let tree = Tree::new(&[("memory.events", ""), ("memory.events.local", ""), ("cgroup.kill", "")])?;
    let facts = podwright_cgroups::facts::facts(&tree.layout, "/pod/c");
    let bounds = delegate::Bounds { max_descendants: 7 };
    // a plain directory has not the files that the kernel makes in a new one: nothing is left of it
    assert!(delegate::make(&tree.layout, "/pod/c", bounds, facts.clone()).is_err());
    assert!(
        delegate::make(&Layout { version: Version::Hybrid, ..tree.layout.clone() }, "/pod/c", bounds, facts).is_err()
    );
    Ok(())
}
