//! Scopes made of cgroups, with the systemd that is process 1. Root only; ignored unless asked for, since most machines
//! of builders have none: `hack/testbed run --init systemd -- cargo test ... -- --include-ignored`.
#![cfg(feature = "host-tests")]

use podwright_cgroups::{Layout, Resources, group, systemd};
use std::error::Error;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// A process in a cgroup of its own below a slice of the test's own.
struct Rig {
    layout: Layout,
    slice: String,
    path: String,
    process: Child,
}

impl Rig {
    /// An error where systemd is not process 1.
    fn new(name: &str, resources: &Resources) -> Tested<Self> {
        let layout = Layout::detect()?;
        if !systemd::is_usable(&layout) {
            return Err("systemd with cgroup v2 is not process 1".into());
        }
        let slice = format!("/pwtest{}{name}.slice", std::process::id());
        let path = format!("{slice}/podwright-x.scope");
        let (facts, _) = group::create(&layout, &path, Some(resources))?;
        let process = Command::new("sleep").arg("300").spawn()?;
        std::fs::write(format!("{}/cgroup.procs", facts.place.unified_dir), process.id().to_string())?;
        Ok(Self { layout, slice, path, process })
    }

    fn shown(&self, what: &str) -> Tested<String> {
        let unit = self.path.rsplit('/').next().unwrap_or_default();
        let out = Command::new("systemctl").args(["show", "--value", "-p", what, unit]).output()?;
        Ok(String::from_utf8(out.stdout)?.trim().to_owned())
    }

    fn file(&self, name: &str) -> String {
        let dir = self.layout.unified_dir(&self.path).unwrap_or_default();
        std::fs::read_to_string(dir.join(name)).unwrap_or_default().trim().to_owned()
    }

    fn exists(&self, path: &str) -> bool {
        self.layout.unified_dir(path).is_some_and(|dir| dir.exists())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
        let _gone = systemd::stop_unit(&self.slice);
        let _gone = group::remove(&self.layout, &self.slice);
    }
}

fn within(what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs systemd with cgroup v2 as process 1"]
fn a_cgroup_becomes_a_scope_with_its_limits_and_goes_with_its_last_process() -> Tested {
    let resources = Resources {
        cpu_shares: Some(512),
        cpu_quota: Some(33_333),
        cpu_period: Some(100_000),
        memory_limit_bytes: Some(64 << 20),
        pids_limit: Some(77),
        unified: [("memory.high", 48 << 20), ("memory.low", 8 << 20), ("memory.min", 4 << 20)]
            .map(|(file, bytes): (&str, u64)| (file.to_owned(), bytes.to_string()))
            .into(),
        ..Resources::default()
    };
    let mut rig = Rig::new("a", &resources)?;
    let pid = i32::try_from(rig.process.id())?;
    systemd::start_scope(&rig.layout, &rig.path, pid, "a test")?;
    systemd::start_scope(&rig.layout, &rig.path, pid, "a test")?;
    assert_eq!(rig.shown("ActiveState")?, "active");
    assert_eq!(rig.shown("Delegate")?, "yes");
    assert_eq!(rig.shown("MemoryMax")?, (64 << 20).to_string());
    assert_eq!(rig.shown("TasksMax")?, "77");
    assert_eq!(rig.file("cpu.max"), "33333 100000");
    assert_eq!(rig.file("cgroup.procs"), pid.to_string());
    // what systemd writes again at a reload is what we had
    assert!(Command::new("systemctl").arg("daemon-reload").status()?.success());
    assert_eq!((rig.file("pids.max"), rig.file("memory.max")), ("77".into(), (64 << 20).to_string()));
    for (name, mebibytes) in [("memory.high", 48), ("memory.low", 8), ("memory.min", 4)] {
        assert_eq!(rig.file(name), (mebibytes << 20).to_string(), "{name}");
    }

    let larger = Resources { memory_limit_bytes: Some(96 << 20), pids_limit: Some(99), ..Resources::default() };
    systemd::update_scope(&rig.layout, &rig.path, &larger)?;
    assert_eq!((rig.shown("MemoryMax")?, rig.shown("TasksMax")?), ((96 << 20).to_string(), "99".into()));
    assert_eq!(rig.file("memory.max"), (96 << 20).to_string());
    // systemd writes again when it gets to it, in steps of its own
    assert!(["33333 100000", "34000 100000"].contains(&rig.file("cpu.max").as_str()), "{}", rig.file("cpu.max"));

    rig.process.kill()?;
    rig.process.wait()?;
    let path = rig.path.clone();
    within("systemd takes an empty scope away", || !rig.exists(&path));
    systemd::stop_unit(&rig.slice)?;
    systemd::stop_unit(&rig.slice)?;
    let slice = rig.slice.clone();
    within("and a slice when told", || !rig.exists(&slice));
    Ok(())
}

#[test]
#[ignore = "needs systemd with cgroup v2 as process 1"]
fn an_idle_cgroup_stays_idle_as_a_scope() -> Tested {
    let idle = Resources { unified: [("cpu.idle".to_owned(), "1".to_owned())].into(), ..Resources::default() };
    let rig = Rig::new("idle", &idle)?;
    systemd::start_scope(&rig.layout, &rig.path, i32::try_from(rig.process.id())?, "a test")?;
    assert_eq!(rig.file("cpu.idle"), "1");
    systemd::update_scope(&rig.layout, &rig.path, &Resources { pids_limit: Some(9), ..Resources::default() })?;
    assert_eq!((rig.file("cpu.idle"), rig.file("pids.max")), ("1".into(), "9".into()));
    Ok(())
}
