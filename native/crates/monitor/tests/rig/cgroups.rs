//! Cgroups of tests: one of each kind below a directory of our own, in every hierarchy.

use podwright_protocol::message::{CgroupFacts, CgroupPlace};
use std::path::PathBuf;

/// A cgroup in every v1 hierarchy and in the unified tree, all removed when it is dropped.
pub struct Cgroup {
    dirs: Vec<PathBuf>,
    pub facts: CgroupFacts,
}

const ROOT: &str = "/sys/fs/cgroup";

impl Cgroup {
    pub fn make(name: &str) -> Self {
        let name = format!("podwright-rig-{}-{name}", std::process::id());
        let mut dirs = Vec::new();
        let mut tasks = Vec::new();
        let mut facts = CgroupFacts::default();
        for entry in std::fs::read_dir(ROOT).unwrap() {
            let hierarchy = entry.unwrap().path();
            if hierarchy.is_symlink() || !hierarchy.join("cgroup.procs").exists() {
                continue;
            }
            let dir = hierarchy.join(&name);
            std::fs::create_dir(&dir).unwrap();
            let text = |file: &str| dir.join(file).to_str().unwrap().to_owned();
            match hierarchy.file_name().unwrap().to_str().unwrap() {
                "unified" => {
                    facts.kill_file = text("cgroup.kill");
                    facts.procs_dir = text("").trim_end_matches('/').to_owned();
                }
                kind => {
                    tasks.push(text("tasks"));
                    match kind {
                        "cpuset" => {
                            for file in ["cpuset.cpus", "cpuset.mems"] {
                                let above = std::fs::read_to_string(hierarchy.join(file)).unwrap();
                                std::fs::write(dir.join(file), above).unwrap();
                            }
                        }
                        "memory" => facts.memory_events = text("memory.oom_control"),
                        "freezer" => facts.freezer_dir = text("").trim_end_matches('/').to_owned(),
                        "devices" => facts.devices_v1_dir = text("").trim_end_matches('/').to_owned(),
                        _ => {}
                    }
                }
            }
            dirs.push(dir);
        }
        facts.place = Some(CgroupPlace { unified_dir: facts.procs_dir.clone(), v1_tasks: tasks });
        Self { dirs, facts }
    }

    /// The directory in one v1 hierarchy.
    pub fn v1(&self, hierarchy: &str) -> PathBuf {
        let prefix = format!("{ROOT}/{hierarchy}/");
        self.dirs.iter().find(|d| d.to_str().unwrap().starts_with(&prefix)).unwrap().clone()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            for _ in 0..2000 {
                if std::fs::remove_dir(dir).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            if !std::thread::panicking() {
                assert!(!dir.exists(), "{dir:?} is left");
            }
        }
    }
}
