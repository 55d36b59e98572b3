//! When a process started: with its pid, this names one process within one boot.

use crate::errno::{SysError, SysResult};
use std::path::Path;

const OPERATION: &str = "read the start time of a process";

/// Start time of a process (proc_pid_stat(5) field 22, clock ticks since boot); `None` when it is gone or
/// a zombie. Any other failure is an error: it does not say that the process is gone.
pub fn start_time(pid: i32) -> SysResult<Option<u64>> {
    from_file(Path::new(&format!("/proc/{pid}/stat")))
}

fn from_file(stat: &Path) -> SysResult<Option<u64>> {
    let object = || stat.display().to_string();
    match std::fs::read(stat) {
        Ok(text) => from_stat(&text).ok_or_else(|| SysError::new(OPERATION, "parse", libc::EBADMSG, object())),
        // no such pid, or one that was reaped while it was read
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(e) => Err(SysError::from_io(OPERATION, "read", &e, object())),
    }
}

/// The outer `None`: not a line of proc_pid_stat(5).
fn from_stat(text: &[u8]) -> Option<Option<u64>> {
    if matches!(stat_field(text, 3)?, "Z" | "X") {
        return Some(None);
    }
    stat_field(text, 22)?.parse().ok().map(Some)
}

/// A field of a line of proc_pid_stat(5) by its number there, from 3 up. PURE.
pub fn stat_field(text: &[u8], number: usize) -> Option<&str> {
    // the command, field 2, may hold anything, also what is not UTF-8: fields are counted after its last parenthesis
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_has_one_and_a_missing_one_has_none() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(start_time(me).unwrap().unwrap() > 0);
        assert_eq!(start_time(i32::MAX).unwrap(), None);
    }

    #[test]
    fn only_a_missing_process_is_gone() {
        let error = from_file(Path::new("/proc")).unwrap_err();
        assert_eq!((error.errno, error.object.as_str()), (libc::EISDIR, "/proc"));
        let error = from_file(Path::new("/proc/version")).unwrap_err();
        assert_eq!(error.errno, libc::EBADMSG);
    }

    #[test]
    fn the_command_may_hold_anything() {
        let line = |state: char| {
            let mut text = b"7 (a) Z \xff) (b) ".to_vec();
            text.extend(format!("{state} 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0\n").bytes());
            text
        };
        assert_eq!(from_stat(&line('S')), Some(Some(4242)));
        assert_eq!(from_stat(&line('Z')), Some(None));
        assert_eq!(from_stat(b"7 (a) S 1 7"), None);
    }

    #[test]
    fn fields_have_the_numbers_of_the_manual() {
        let line = b"12 (a ) b) D 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 0";
        assert_eq!(stat_field(line, 3), Some("D"));
        assert_eq!(stat_field(line, 4), Some("1"));
        assert_eq!(stat_field(line, 22), Some("777"));
        assert_eq!(stat_field(line, 2), None);
    }
}
