//! A cgroup of the test's own on this host, removed with everything in it when the test ends, and
//! processes placed in it the way the monitor places them.
#![allow(unsafe_code, dead_code, reason = "each test file uses its own part")]

use podwright_cgroups::{Facts, Layout, Resources, group};
use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) type Tested<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub(crate) const MIB: i64 = 1 << 20;

pub(crate) struct Scratch {
    pub(crate) layout: Layout,
    pub(crate) path: String,
    pub(crate) facts: Facts,
    pub(crate) actual: Resources,
}

impl Scratch {
    pub(crate) fn new(change: impl FnOnce(&mut Resources)) -> Tested<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = format!("/podwright-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self::at(&path, change)
    }

    pub(crate) fn at(path: &str, change: impl FnOnce(&mut Resources)) -> Tested<Self> {
        let layout = Layout::detect()?;
        let mut resources = Resources::default();
        change(&mut resources);
        let (facts, actual) = group::create(&layout, path, Some(&resources))?;
        Ok(Self { layout, path: path.to_owned(), facts, actual })
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Resources)) -> podwright_cgroups::Result<Resources> {
        let mut resources = Resources::default();
        change(&mut resources);
        group::update(&self.layout, &self.path, &resources)
    }

    /// A shell in the cgroup, its output caught.
    pub(crate) fn sh(&self, script: &str) -> Tested<Child> {
        let mut tasks: Vec<CString> = Vec::new();
        for file in &self.facts.place.v1_tasks {
            tasks.push(CString::new(file.as_str())?);
        }
        if !self.facts.place.unified_dir.is_empty() {
            tasks.push(CString::new(format!("{}/cgroup.procs", self.facts.place.unified_dir))?);
        }
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: between fork and exec only open, write and close, on strings made before.
        unsafe {
            command.pre_exec(move || {
                for file in &tasks {
                    let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                    if fd < 0 || libc::write(fd, c"0".as_ptr().cast(), 1) != 1 {
                        return Err(std::io::Error::last_os_error());
                    }
                    libc::close(fd);
                }
                Ok(())
            });
        }
        Ok(command.spawn()?)
    }

    /// Runs a shell in the cgroup to its end: exit code (none for a signal) and its errors.
    pub(crate) fn run(&self, script: &str) -> Tested<(Option<i32>, String)> {
        let out = self.sh(script)?.wait_with_output()?;
        Ok((out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let killed = group::kill(&self.layout, &self.path, Duration::from_secs(30));
        let removed = group::remove(&self.layout, &self.path);
        if !std::thread::panicking() {
            assert!(killed.is_ok() && removed.is_ok(), "{killed:?} {removed:?}");
        }
    }
}

/// Waits until `done`, at most twenty seconds.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
