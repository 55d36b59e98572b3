//! OOM kills in a container's cgroup: counted, told as they happen and with the exit, with whose limit it was and whether
//! the main process is among the killed.

use crate::clock;
use crate::oom_level::{Layout, Levels, dir_of};
use crate::poller::Source;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_protocol::message::oom_fact::Limit;
use podwright_protocol::message::{OomFact, event};
use podwright_sys::errno::SysResult;
use podwright_sys::signal::Ending;
use podwright_sys::start_time::stat_field;
use std::path::Path;

/// v1 gives notice before the kill is counted: the count is read so much later, in milliseconds.
const COUNT_AFTER_MS: u64 = 20;

/// PF_EXITING and PF_SIGNALED of a process's flags (proc_pid_stat(5), linux/sched.h).
const ENDING_FLAGS: u64 = 0x4 | 0x400;

/// SIGKILL in a mask of pending signals (proc_pid_status(5)).
const KILL_PENDING: u64 = 1 << 8;

/// What is known of OOM kills in a container.
#[derive(Debug, Default)]
pub(crate) struct Oom {
    /// None before its cgroup is watched, and where there is no memory controller.
    levels: Option<Levels>,
    /// Kills so far.
    kills: u64,
    /// Of those, kills that the main process has outlived.
    outlived: u64,
    /// Kills that were told.
    told: u64,
    /// Whose limit it was, and that limit in bytes.
    limit: (Limit, u64),
}

impl Oom {
    /// Kills so far.
    pub(crate) fn kills(&self) -> u64 {
        self.kills
    }

    /// Whose limit the last kill was for, and that limit in bytes, 0 for none.
    pub(crate) fn limit(&self) -> (Limit, u64) {
        self.limit
    }

    /// Whether a main process that ended so was killed for memory, or ended because what it ran was.
    pub(crate) fn explains(&self, ending: Ending) -> bool {
        match ending {
            Ending::Signal(9) => self.kills > self.outlived,
            // a shell says so of what it ran
            Ending::Code(137) => self.kills > 0,
            _ => false,
        }
    }

    /// Something was found; false when no kill is new.
    fn count(&mut self, kills: u64, now: i64) -> bool {
        if kills <= self.kills {
            return false;
        }
        self.kills = kills;
        if let Some(levels) = &mut self.levels {
            self.limit = levels.cause(now);
        }
        true
    }

    fn fact(&mut self, container_id: &str, main: bool) -> Option<OomFact> {
        let new_kills = self.kills.saturating_sub(self.told);
        if new_kills == 0 {
            return None;
        }
        self.told = self.kills;
        let (limit, limit_bytes) = self.limit;
        Some(OomFact {
            container_id: container_id.into(),
            oom_kills: self.kills,
            at: clock::now(),
            limit: limit.into(),
            limit_bytes,
            main,
            new_kills,
        })
    }
}

impl Monitor {
    /// Begins to watch a container's cgroup, before its program runs. Without notices the counts at the exit are still
    /// true, so a kernel that offers none costs only the event.
    pub(crate) fn watch_oom(&mut self, key: u64) {
        let Some(container) = self.containers.get_mut(&key).filter(|c| c.oom.levels.is_none()) else { return };
        let Some((layout, dir)) = dir_of(&container.cgroup.memory_events) else { return };
        let mut levels = Levels::watch(layout, dir);
        if let Some(notice) = levels.notice() {
            let source = Source::Oom(key);
            let added = match layout {
                Layout::V1 => self.poller.add(notice, source),
                Layout::V2 => self.poller.add_priority(notice, source),
            };
            if added.is_err() {
                levels.drop_notice();
            }
        }
        container.oom.kills = levels.kills(dir).unwrap_or(0);
        container.oom.told = container.oom.kills;
        container.oom.outlived = container.oom.kills;
        container.oom.levels = Some(levels);
        self.pod_kills.begin(layout, dir);
    }

    /// A notice came: the count is read a little later.
    pub(crate) fn oom_ready(&mut self, key: u64) {
        let now = clock::boot();
        let Some(levels) = self.containers.get_mut(&key).and_then(|c| c.oom.levels.as_mut()) else { return };
        if levels.take_notice(now).is_err() {
            self.close_oom(key); // the cgroup has gone
            return;
        }
        self.timers.add(clock::deadline(COUNT_AFTER_MS), Due::OomCount(key));
    }

    /// Tells of kills that were not told yet.
    pub(crate) fn oom_count(&mut self, key: u64) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key).filter(|c| c.exit.is_none()) else { return Ok(()) };
        let Some((_, dir)) = dir_of(&container.cgroup.memory_events) else { return Ok(()) };
        let Some(kills) = container.oom.levels.as_ref().and_then(|l| l.kills(dir)) else { return Ok(()) };
        if !container.oom.count(kills, clock::boot()) {
            return Ok(());
        }
        // The kernel counts before it kills: of what was counted before this look, a process that goes on was none.
        let main = container.pid == 0 || is_ending(container.pid);
        if main {
            return Ok(()); // told with its exit
        }
        container.oom.outlived = kills;
        let fact = container.oom.fact(&container.id, false);
        fact.map_or(Ok(()), |fact| self.push(event::Event::Oom(fact)))
    }

    /// The main process has ended: the last count. With systemd the cgroup may have gone by now; what was killed in it
    /// is still counted above it.
    pub(crate) fn oom_at_end(&mut self, key: u64) {
        let now = clock::boot();
        let Some(container) = self.containers.get_mut(&key) else { return };
        let Some((layout, dir)) = dir_of(&container.cgroup.memory_events) else { return };
        let Some(levels) = &container.oom.levels else { return };
        if let Some(kills) = levels.kills(dir) {
            container.oom.count(kills, now);
            return;
        }
        let dir = dir.to_owned();
        let mut known = 0;
        for other in self.containers.values_mut() {
            let Some((_, of)) = dir_of(&other.cgroup.memory_events) else { continue };
            if let Some(kills) = other.oom.levels.as_ref().and_then(|l| l.kills(of)) {
                other.oom.count(kills, now);
            }
            known += other.oom.kills;
        }
        let missing = self.pod_kills.unknown(layout, &dir, known);
        if let Some(container) = self.containers.get_mut(&key) {
            let kills = container.oom.kills + missing;
            container.oom.count(kills, now);
        }
    }

    /// What is told of kills that came with the end.
    pub(crate) fn tell_last_kills(&mut self, key: u64, main: bool) -> SysResult<()> {
        let fact = self.containers.get_mut(&key).and_then(|c| c.oom.fact(&c.id, main));
        fact.map_or(Ok(()), |fact| self.push(event::Event::Oom(fact)))
    }

    /// Stops watching.
    pub(crate) fn close_oom(&mut self, key: u64) {
        if let Some(levels) = self.containers.get_mut(&key).and_then(|c| c.oom.levels.as_mut()) {
            if let Some(notice) = levels.notice() {
                self.poller.remove(notice);
            }
            levels.drop_notice();
        }
    }
}

/// Whether a child of ours is being killed, or ends.
fn is_ending(pid: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let pending = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    };
    if (pending("SigPnd:") | pending("ShdPnd:")) & KILL_PENDING != 0 {
        return true;
    }
    // in this order: a signal that is no longer pending shows in the flags
    let Ok(stat) = std::fs::read(Path::new("/proc").join(pid.to_string()).join("stat")) else { return true };
    stat_field(&stat, 9).and_then(|flags| flags.parse::<u64>().ok()).is_none_or(|flags| flags & ENDING_FLAGS != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_kills_that_were_not_outlived_explain_an_end_by_signal() {
        let table = [
            ((0, 0), Ending::Signal(9), false),
            ((1, 0), Ending::Signal(9), true),
            ((1, 1), Ending::Signal(9), false),
            ((2, 1), Ending::Signal(9), true),
            ((2, 1), Ending::Signal(15), false),
            ((1, 1), Ending::Code(137), true),
            ((0, 0), Ending::Code(137), false),
            ((1, 1), Ending::Code(0), false),
            ((1, 0), Ending::Code(1), false),
        ];
        for ((kills, outlived), ending, expected) in table {
            let oom = Oom { kills, outlived, ..Oom::default() };
            assert_eq!(oom.explains(ending), expected, "{kills} {outlived} {ending:?}");
        }
    }

    #[test]
    fn kills_are_told_once() {
        let mut oom = Oom::default();
        assert!(oom.fact("a", false).is_none());
        assert!(oom.count(2, 0) && !oom.count(2, 0));
        let fact = oom.fact("a", true).unwrap();
        assert_eq!((fact.oom_kills, fact.new_kills, fact.main), (2, 2, true));
        assert!(oom.fact("a", true).is_none());
        oom.count(3, 0);
        assert_eq!(oom.fact("a", false).map(|f| (f.oom_kills, f.new_kills)), Some((3, 1)));
    }

    #[test]
    fn a_process_that_lives_is_not_ending() {
        assert!(!is_ending(std::process::id().try_into().unwrap()));
        assert!(is_ending(0));
    }
}
