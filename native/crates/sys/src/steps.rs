//! Labelled steps, at which a test has this process die or a call fail. Off in a daemon that nobody told otherwise:
//! then a step is one look at a word of memory. A monitor never turns it on.
//!
//! The test and the process meet in a directory: `seen`, where it exists, gets a line for each label that is passed;
//! `armed` holds one line, `ACTION N LABEL`: at the N-th time of that label from then on it is renamed to `fired`, and
//! the action happens. `kill` is SIGKILL to this process, `fail` has the step fail with EIO.

use crate::errno::{SysError, SysResult};
use rustix::io::Errno;
use rustix::process::{Signal, geteuid, getpid, kill_process};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

static DIR: OnceLock<PathBuf> = OnceLock::new();
/// The line that was armed last, and how often its label has been passed since.
static COUNT: Mutex<(String, u64)> = Mutex::new((String::new(), 0));

/// Turns the steps of this process on, once and for its life; false when they are on already. EPERM when anybody else
/// could put a file into that directory.
pub fn enable(dir: PathBuf) -> SysResult<bool> {
    let failed =
        |syscall, errno: Errno| SysError::new("let a test into", syscall, errno.raw_os_error(), dir.to_string_lossy());
    let found =
        fs::symlink_metadata(&dir).map_err(|e| failed("lstat", Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    let own = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0;
    if !own {
        return Err(failed("lstat", Errno::PERM));
    }
    Ok(DIR.set(dir).is_ok())
}

/// Passes a step: EIO when a test has it fail.
pub fn pass(label: &str) -> SysResult<()> {
    match DIR.get() {
        None => Ok(()),
        Some(dir) => pass_in(dir, label),
    }
}

/// The same where nothing can fail: a test can only have the process die here.
pub fn reach(label: &str) {
    drop(pass(label));
}

fn pass_in(dir: &Path, label: &str) -> SysResult<()> {
    let failed = |errno| Err(SysError::new("pass the step", "a test", errno, label));
    // Other threads pass steps too: one of them at most is the one that is armed.
    let mut count = COUNT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(mut seen) = OpenOptions::new().append(true).open(dir.join("seen")) {
        let written = seen.write_all(format!("{label}\n").as_bytes());
        written.or_else(|e| failed(e.raw_os_error().unwrap_or(Errno::IO.raw_os_error())))?;
    }
    let armed = fs::read_to_string(dir.join("armed")).unwrap_or_default();
    if armed != count.0 {
        *count = (armed, 0);
    }
    let Some((fails, times)) = action_at(&count.0, label).map(|(action, times)| (action == "fail", times)) else {
        return Ok(());
    };
    count.1 += 1;
    if count.1 != times || fs::rename(dir.join("armed"), dir.join("fired")).is_err() {
        return Ok(());
    }
    if fails {
        return failed(Errno::IO.raw_os_error());
    }
    // Nothing more is done by this thread, nor by one that waits for the lock.
    while kill_process(getpid(), Signal::KILL).is_ok() {}
    failed(Errno::IO.raw_os_error())
}

/// What is to happen at this label, and at which time of it.
fn action_at<'a>(armed: &'a str, label: &str) -> Option<(&'a str, u64)> {
    let mut words = armed.trim_end().splitn(3, ' ');
    let (action, times) = (words.next()?, words.next()?);
    (words.next()? == label).then_some((action, times.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn steps_do_nothing_until_armed_and_fail_once() {
        assert!(pass("anything").is_ok(), "nobody turned them on");
        let dir = std::env::temp_dir().join(format!("podwright-steps-{}", std::process::id()));
        fs::create_dir(&dir).expect("make");
        assert!(pass_in(&dir, "one").is_ok());
        assert!(!dir.join("seen").exists(), "nothing is noted unless asked for");
        fs::write(dir.join("seen"), "").expect("ask");
        fs::write(dir.join("armed"), "fail 2 the one\n").expect("arm");
        for label in ["another", "the", "the one"] {
            assert!(pass_in(&dir, label).is_ok(), "{label}");
        }
        let error = pass_in(&dir, "the one").expect_err("the second time");
        assert_eq!(error.errno, Errno::IO.raw_os_error());
        assert!(pass_in(&dir, "the one").is_ok(), "once");
        assert!(!dir.join("armed").exists() && dir.join("fired").exists());
        fs::write(dir.join("armed"), "fail 1 the one\n").expect("arm again");
        assert!(pass_in(&dir, "the one").is_err(), "what was passed before does not count");
        let seen = fs::read_to_string(dir.join("seen")).expect("read");
        assert_eq!(seen, "another\nthe\nthe one\nthe one\nthe one\nthe one\n");
        fs::remove_dir_all(&dir).expect("remove");
    }

    #[test]
    fn nobody_else_is_let_in() {
        let dir = std::env::temp_dir().join(format!("podwright-let-in-{}", std::process::id()));
        fs::create_dir(&dir).expect("make");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o770)).expect("open it");
        for refused in [dir.as_path(), &dir.join("absent"), Path::new("/proc/self/exe")] {
            assert!(enable(refused.to_owned()).is_err(), "{}", refused.display());
        }
        assert!(pass("anything").is_ok());
        fs::remove_dir(&dir).expect("remove");
    }

    #[test]
    fn a_line_that_makes_no_sense_arms_nothing() {
        for line in ["", "kill", "kill 1", "kill x label", "kill -1 label"] {
            assert_eq!(action_at(line, "label"), None, "{line}");
        }
        assert_eq!(action_at("kill 3 a label\n", "a label"), Some(("kill", 3)));
    }
}
