//! Processes that stand beside the tree that criu captures: commands that were started in a container. To be looked for
//! while its cgroup is frozen: nothing begins or ends then.

use crate::error::{CriuError, CriuResult};
use podwright_cgroups::procs;
use podwright_sys::start_time::stat_field;
use std::path::Path;

/// Refuses a container with a process that is not its main process's descendant: criu would leave it out, and who asked
/// for a checkpoint would not know.
///
/// # Errors
/// There is one: its pid and name are told. The cgroup cannot be read.
pub(crate) fn refuse(id: &str, main: i32, freezer: &Path) -> CriuResult<()> {
    let beside = procs::list(freezer)?.into_iter().find_map(|pid| stranger(pid, main, &stat));
    beside.map_or(Ok(()), |process| Err(CriuError::Beside { container: id.into(), process }))
}

fn stat(pid: i32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/stat")).ok()
}

/// A process, for people, unless it has ended or descends from `main`. PURE but for `stat`, the line of a process.
fn stranger(pid: i32, main: i32, stat: &dyn Fn(i32) -> Option<Vec<u8>>) -> Option<String> {
    let line = stat(pid).filter(|line| !matches!(stat_field(line, 3), Some("Z" | "X")))?;
    let mut at = pid;
    // a chain of parents is not longer than there are pids; one that changes meanwhile is not looked at for ever
    for _ in 0..1 << 16 {
        if at == main {
            return None;
        }
        at = stat(at).and_then(|line| stat_field(&line, 4)?.parse().ok()).unwrap_or(0);
        if at <= 1 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&line);
    let name = text.get(text.find('(')? + 1..text.rfind(')')?).unwrap_or_default();
    Some(format!("{name} (pid {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 is the main process, 11 and 12 are below it, 20 is a command with 21 below it, 30 has ended.
    fn table(pid: i32) -> Option<Vec<u8>> {
        let (state, parent) = match pid {
            10 | 20 => ("S", 5),
            11 => ("S", 10),
            12 => ("S", 11),
            21 => ("S", 20),
            30 => ("Z", 5),
            5 => ("S", 1),
            _ => return None,
        };
        Some(format!("{pid} (a) b) {state} {parent} 0 0").into_bytes())
    }

    #[test]
    fn who_does_not_descend_from_the_main_process_is_named() {
        let told = |pid| stranger(pid, 10, &table);
        assert_eq!([10, 11, 12, 30, 99].map(told), [const { None }; 5]);
        assert_eq!(told(20).as_deref(), Some("a) b (pid 20)"));
        assert_eq!(told(21).as_deref(), Some("a) b (pid 21)"));
    }
}
