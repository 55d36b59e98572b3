//! The reason in criu's log. PURE but for the reading.

use rustix::fs::{Mode, OFlags, SeekFrom};
use std::io::Read as _;
use std::os::fd::BorrowedFd;

/// At most so much of the end of a log is read.
const TAIL: u64 = 64 << 10;

/// How many errors are told: the first that broke the dump and what came of it.
const LINES: usize = 3;

/// The reason in the log `name` of a directory; what could not be read is no reason.
pub(crate) fn reason_in(dir: BorrowedFd<'_>, name: &str) -> Option<String> {
    let file =
        rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()).ok()?;
    let size = rustix::fs::fstat(&file).ok()?.st_size.unsigned_abs();
    rustix::fs::seek(&file, SeekFrom::Start(size.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(TAIL).read_to_end(&mut bytes).ok()?;
    reason(&String::from_utf8_lossy(&bytes))
}

/// The last errors of a log, oldest first, without times and source files; none when there is none.
pub(crate) fn reason(log: &str) -> Option<String> {
    let mut errors: Vec<&str> = Vec::new();
    for line in log.lines() {
        let Some(at) = line.find("Error (") else { continue };
        let text = line.get(at..).and_then(|l| l.split_once("): ")).map_or(line, |(_, text)| text.trim());
        // said at the end of each failure, and of a missing /dev/net/tun, which nothing here needs
        let noise =
            text.starts_with("Dumping FAILED") || text.starts_with("tun: ") || text.starts_with("Restoring FAILED");
        if !noise && !errors.contains(&text) {
            errors.push(text);
        }
    }
    let told = errors.len().saturating_sub(LINES);
    let text = errors.get(told..).unwrap_or_default().join("; ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_errors_are_the_reason() {
        let log = "(00.1) Error (criu/tun.c:85): tun: Unable to create tun: No such file or directory\n\
                   (09.7) Error (criu/files-reg.c:1710): Can't lookup mount=23 for fd=0 path=/dev/null\n\
                   (09.8)     329: Error (criu/cr-dump.c:1635): Dump files (pid: 329) failed with -1\n\
                   (09.9) Error (criu/cr-dump.c:2053): Dumping FAILED.\n";
        let expected = "Can't lookup mount=23 for fd=0 path=/dev/null; Dump files (pid: 329) failed with -1";
        assert_eq!(reason(log).as_deref(), Some(expected));
        assert_eq!(reason("(00.1) Warn  (x.c:1): nothing\n"), None);
        let many: String = (0..9).map(|i| format!("Error (a.c:{i}): e{i}\n")).collect();
        assert_eq!(reason(&many).as_deref(), Some("e6; e7; e8"));
    }
}
