//! Usage as the unified tree prints it, from plain files in a temporary directory.

use podwright_cgroups::stats::{Hugetlb, Io, IoCost, Quota, StatsReader};
use podwright_cgroups::{Layout, Version};

#[test]
fn the_unified_trees_files_are_understood() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::temp_dir().join(format!("podwright-v2-usage-{}", std::process::id()));
    let dir = root.join("c");
    std::fs::create_dir_all(&dir)?;
    let psi = "some avg10=2.00 avg60=1.00 avg300=0.50 total=7000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=70\n";
    for (name, text) in [
        (
            "cpu.stat",
            "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_periods 9\nnr_throttled 4\nthrottled_usec 77\n\
             nr_bursts 2\nburst_usec 5\n",
        ),
        ("memory.current", "10000\n"),
        (
            "memory.stat",
            "anon 4000\nfile 5000\nkernel 700\nfile_mapped 40\nactive_file 1900\ninactive_file 3000\npgfault 12\npgmajfault 2\n",
        ),
        ("memory.max", "20000\n"),
        ("memory.peak", "15000\n"),
        ("memory.swap.current", "64\n"),
        ("memory.swap.max", "max\n"),
        ("memory.events", "low 0\nhigh 0\nmax 6\noom 1\noom_kill 3\noom_group_kill 1\n"),
        ("pids.current", "5\n"),
        ("pids.max", "max\n"),
        ("io.stat", "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0 cost.usage=9 cost.wait=8\n254:0 \n"),
        ("hugetlb.2MB.current", "2097152\n"),
        ("hugetlb.2MB.events", "max 1\n"),
        ("cpu.pressure", psi),
        ("memory.pressure", psi),
        ("io.pressure", psi),
    ] {
        std::fs::write(dir.join(name), text)?;
    }
    let layout = Layout {
        version: Version::V2,
        unified: Some(root.clone()),
        unified_controllers: vec!["memory".into()],
        v1: Vec::new(),
        hugepage_sizes: vec!["2MB".into(), "1GB".into()],
    };
    let read = StatsReader::new(layout, 100).read(&["/c".into()]);
    std::fs::remove_dir_all(&root)?;
    let stats = read?.pop().flatten().ok_or("no usage")?;
    let cpu = stats.cpu.ok_or("no cpu")?;
    assert_eq!((cpu.usage_ns, cpu.user_ns, cpu.system_ns), (1_500_000, 1_000_000, 500_000));
    let quota =
        Quota { periods: 9, throttled_periods: 4, throttled_ns: 77_000, burst_periods: Some(2), burst_ns: Some(5000) };
    assert_eq!(cpu.quota, Some(quota));
    let memory = stats.memory.ok_or("no memory")?;
    assert_eq!((memory.usage, memory.working_set, memory.rss, memory.cache), (10_000, 7_000, 4_000, 5_000));
    assert_eq!((memory.limit, memory.available, memory.max_usage), (Some(20_000), Some(13_000), Some(15_000)));
    assert_eq!((memory.kernel, memory.mapped_file, memory.active_file), (Some(700), 40, 1900));
    assert_eq!(memory.own_page_faults, None);
    assert_eq!((memory.swap_usage, memory.swap_limit), (Some(64), None));
    assert_eq!((memory.failcnt, memory.oom_kills, memory.page_faults, memory.major_page_faults), (6, 3, 12, 2));
    assert_eq!(stats.pids.map(|p| (p.current, p.limit)), Some((5, None)));
    let cost = Some(IoCost { usage_us: 9, wait_us: 8, ..IoCost::default() });
    let disk = Io { major: 8, minor: 16, read_bytes: 1, write_bytes: 2, read_ops: 3, write_ops: 4, cost };
    assert_eq!(stats.io, [disk, Io { major: 254, ..Io::default() }]);
    assert_eq!(stats.hugetlb, [Hugetlb { page_size: "2MB".into(), usage: 2_097_152, max_usage: None, failcnt: 1 }]);
    assert_eq!(
        stats.psi.map(|p| (p.cpu.some.avg10, p.io.some.total_us, p.memory.full.total_us)),
        Some((2.0, 7000, 70))
    );
    Ok(())
}
