//! OOM kills in a container's cgroup: counted, told as they happen and with the exit, with whose limit it was and whether
//! the main process is among the killed.

use crate::clock;
use crate::oom_level::{FRESH, Layout, Levels, dir_of};
use crate::poller::Source;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_protocol::message::oom_fact::Limit;
use podwright_protocol::message::{OomFact, event};
use podwright_sys::errno::SysResult;
use podwright_sys::signal::Ending;
use podwright_sys::start_time::stat_field;
use rustix::event::epoll::EventFlags;
use std::path::Path;

/// When the count is read after a notice, in milliseconds. v1 gives notice once and before the kill is counted, and
/// what the kernel writes to its log in between can take long on a slow console.
const LOOKS_MS: [u64; 6] = [20, 100, 500, 2_000, 10_000, 60_000];

/// How long after a notice it is looked at most, where many come: a container at `memory.high` or `memory.max` gives one
/// every 10 ms, and kills of which nothing is told yet are told with its end in any case.
const LONGEST_MS: u64 = 1_000;

/// Notices so far apart are not many.
const APART_MS: u64 = 2_000;

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
    /// When the last of them was counted, by boot time.
    last_kill: Option<i64>,
    /// Of those, kills that the main process has outlived.
    outlived: u64,
    /// Kills that were told.
    told: u64,
    /// Whose limit it was, and that limit in bytes.
    limit: (Limit, u64),
    looks: Looks,
}

/// The looks at the count that follow a notice. No notice is heard before the first of them, which comes the later, the more
/// notices in a row no kill has come of. PURE.
#[derive(Debug, Default)]
struct Looks {
    /// When the last notice came, by boot time.
    since: i64,
    /// When the next look is to be taken: what earlier notices have asked for is over.
    at: Option<i64>,
    /// Notices are not heard.
    deaf: bool,
    /// Notices in a row that no kill has come of.
    barren: u32,
}

impl Looks {
    /// A notice came: when to look first.
    fn begin(&mut self, now: i64) -> i64 {
        if now > self.since + ms(APART_MS) {
            self.barren = 0;
        }
        let first = LOOKS_MS[0].checked_shl(self.barren).unwrap_or(LONGEST_MS).min(LONGEST_MS);
        let at = now + ms(first);
        (self.since, self.at, self.deaf) = (now, Some(at), true);
        at
    }

    /// Whether a look is to be taken now.
    fn is_due(&self, now: i64) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    /// A look has been taken, which has found a kill or not: when to take the next one.
    fn taken(&mut self, now: i64, killed: bool) -> Option<i64> {
        self.barren = match (killed, self.deaf) {
            (true, _) => 0,
            (false, true) => (self.barren + 1).min(u64::BITS),
            (false, false) => self.barren,
        };
        self.deaf = false;
        self.at = LOOKS_MS.iter().map(|after| self.since + ms(*after)).find(|at| *at > now);
        self.at
    }
}

fn ms(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX).saturating_mul(1_000_000)
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

    /// Whether a main process that has just ended so was killed for memory, or ended because what it ran was.
    pub(crate) fn explains(&self, ending: Ending, now: i64) -> bool {
        match ending {
            Ending::Signal(9) => self.kills > self.outlived,
            // a shell says so of what it ran, at once; of what was killed long before it says nothing
            Ending::Code(137) => self.last_kill.is_some_and(|at| now.saturating_sub(at) < FRESH),
            _ => false,
        }
    }

    /// So many kills there have been.
    fn count(&mut self, kills: u64, now: i64) {
        if kills <= self.kills {
            return;
        }
        self.kills = kills;
        self.last_kill = Some(now);
        if let Some(levels) = &mut self.levels {
            self.limit = levels.cause(now);
        }
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
            if self.poller.add_for(notice, source, once(layout)).is_err() {
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
        let Some(oom) = self.containers.get_mut(&key).map(|c| &mut c.oom) else { return };
        let Some(levels) = &mut oom.levels else { return };
        if levels.take_notice(now).is_err() {
            self.close_oom(key); // the cgroup has gone
            return;
        }
        let first = oom.looks.begin(now);
        self.timers.add(first, Due::OomCount(key));
    }

    /// Tells of kills that were not told yet.
    pub(crate) fn oom_count(&mut self, key: u64) -> SysResult<()> {
        let now = clock::boot();
        let Some(container) = self.containers.get_mut(&key).filter(|c| c.exit.is_none()) else { return Ok(()) };
        let Some((layout, dir)) = dir_of(&container.cgroup.memory_events) else { return Ok(()) };
        let oom = &mut container.oom;
        let Some(levels) = oom.levels.as_mut().filter(|_| oom.looks.is_due(now)) else { return Ok(()) };
        if oom.looks.deaf {
            // what has happened until now is looked at now; what happens from now on is heard
            let heard = levels.take_notice(now).is_ok();
            if let Some(notice) = levels.notice().filter(|_| heard)
                && self.poller.change(notice, Source::Oom(key), once(layout)).is_err()
            {
                levels.drop_notice();
            }
        }
        let Some(kills) = levels.kills(dir) else { return Ok(()) };
        if let Some(next) = oom.looks.taken(now, kills > oom.kills) {
            self.timers.add(next, Due::OomCount(key));
        }
        oom.count(kills, now);
        // not whether this look has found them: the end of another container may have
        if container.oom.kills == container.oom.told {
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

    /// The main process has ended: the last count, and, without `ending`, what was killed with it and since. With systemd
    /// the cgroup may have gone by now; what was killed in it is still counted above it.
    pub(crate) fn oom_at_end(&mut self, key: u64, ending: Option<Ending>) {
        let now = clock::boot();
        let Some(container) = self.containers.get_mut(&key) else { return };
        let likely = !container.killed && ending.is_some_and(is_as_by_kill);
        let Some((layout, dir)) = dir_of(&container.cgroup.memory_events) else { return };
        let Some(levels) = &container.oom.levels else { return };
        if let Some(kills) = levels.kills(dir) {
            container.oom.count(kills, now);
            return;
        }
        let dir = dir.to_owned();
        let mut known = 0;
        let mut others = false;
        for (at, other) in &mut self.containers {
            let Some((_, of)) = dir_of(&other.cgroup.memory_events) else { continue };
            match other.oom.levels.as_ref().and_then(|l| l.kills(of)) {
                Some(kills) => other.oom.count(kills, now),
                None => others |= *at != key && other.ending.is_none() && other.exit.is_none(),
            }
            known += other.oom.kills;
        }
        let missing = self.pod_kills.unknown(layout, &dir, known);
        if let Some(container) = self.containers.get_mut(&key) {
            let kills = container.oom.kills + share(missing, likely, others);
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

/// What a notice's descriptor is watched for, until it is ready once.
fn once(layout: Layout) -> EventFlags {
    let ready = match layout {
        Layout::V1 => EventFlags::IN,
        Layout::V2 => EventFlags::PRI,
    };
    ready | EventFlags::ONESHOT
}

/// Whether a main process that ended so may have been killed, or what it ran. PURE.
fn is_as_by_kill(ending: Ending) -> bool {
    matches!(ending, Ending::Signal(9) | Ending::Code(137))
}

/// How many of the kills that nobody has counted are a container's whose cgroup has gone: all, unless there are others
/// of which that is so and whose end is still to come. Then it is its main process at most, if that ended like it. PURE.
fn share(missing: u64, likely: bool, others: bool) -> u64 {
    match (others, likely) {
        (false, _) => missing,
        (true, true) => missing.min(1),
        (true, false) => 0,
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
            ((0, 0), Ending::Code(137), false),
            ((1, 1), Ending::Code(0), false),
            ((1, 0), Ending::Code(1), false),
        ];
        for ((kills, outlived), ending, expected) in table {
            let oom = Oom { kills, outlived, ..Oom::default() };
            assert_eq!(oom.explains(ending, 1), expected, "{kills} {outlived} {ending:?}");
        }
    }

    #[test]
    fn a_shell_that_ends_as_what_it_ran_speaks_of_kills_that_have_just_been() {
        let mut oom = Oom { kills: 1, outlived: 1, ..Oom::default() };
        assert!(!oom.explains(Ending::Code(137), 1), "it was before the container was watched");
        oom.count(2, 5);
        // a look may have come between its child's end and its own
        oom.outlived = 2;
        assert!(oom.explains(Ending::Code(137), 6));
        assert!(!oom.explains(Ending::Signal(9), 6));
        oom.count(2, 5 + FRESH);
        assert!(!oom.explains(Ending::Code(137), 5 + FRESH), "that was of somebody else");
        oom.count(3, 6 + FRESH);
        assert!(oom.explains(Ending::Code(137), 6 + FRESH));
    }

    #[test]
    fn kills_are_told_once() {
        let mut oom = Oom::default();
        assert!(oom.fact("a", false).is_none());
        oom.count(2, 0);
        oom.count(2, 0);
        let fact = oom.fact("a", true).unwrap();
        assert_eq!((fact.oom_kills, fact.new_kills, fact.main), (2, 2, true));
        assert!(oom.fact("a", true).is_none());
        oom.count(3, 0);
        assert_eq!(oom.fact("a", false).map(|f| (f.oom_kills, f.new_kills)), Some((3, 1)));
    }

    #[test]
    fn a_notice_is_followed_by_looks_until_the_kill_is_surely_counted() {
        let mut looks = Looks::default();
        assert!(!looks.is_due(5), "no notice came");
        let mut at = looks.begin(7);
        let mut taken = vec![at];
        while let Some(next) = looks.taken(at, false) {
            assert!(!looks.is_due(next - 1) && looks.is_due(next));
            at = next;
            taken.push(at);
        }
        assert_eq!(taken, LOOKS_MS.map(|after| 7 + ms(after)));
        let again = looks.begin(at);
        assert_eq!(again, at + ms(LOOKS_MS[0]), "they are far apart");
        assert!(!looks.is_due(at + 1), "a look that came of an earlier notice");
        assert_eq!(looks.taken(again, false), Some(at + ms(LOOKS_MS[1])));
    }

    /// How often a container is looked at in so many seconds that gives a notice whenever one is heard.
    fn looks_in(seconds: i64, killing: bool) -> usize {
        let (mut looks, mut count) = (Looks::default(), 0);
        let mut now = ms(100_000);
        let end = now + seconds * ms(1000);
        while now < end {
            // heard at once, and every look before the next notice is one too many
            now = looks.begin(now);
            assert!(looks.deaf && looks.is_due(now));
            count += 1;
            assert!(looks.taken(now, killing).is_some());
            assert!(!looks.deaf);
        }
        count
    }

    #[test]
    fn a_container_that_gives_notices_without_end_is_looked_at_once_a_second() {
        let count = looks_in(60, false);
        assert!((60..70).contains(&count), "{count}");
        assert!(looks_in(1, true) >= 50, "kills are told of as they happen");
        let mut looks = Looks::default();
        for _ in 0..200 {
            let at = looks.begin(1);
            looks.taken(at, false);
        }
        assert_eq!(looks.begin(2), 2 + ms(LONGEST_MS));
        looks.taken(2 + ms(LONGEST_MS), true);
        assert_eq!(looks.begin(3), 3 + ms(LOOKS_MS[0]), "a kill is followed closely");
    }

    #[test]
    fn kills_of_other_containers_that_have_gone_are_left_to_them() {
        let table = [
            ((2, false, false), 2),
            ((2, true, false), 2),
            ((2, true, true), 1),
            ((2, false, true), 0),
            ((0, true, true), 0),
            ((0, true, false), 0),
        ];
        for ((missing, likely, others), expected) in table {
            assert_eq!(share(missing, likely, others), expected, "{missing} {likely} {others}");
        }
        let endings = [Ending::Signal(9), Ending::Code(137), Ending::Signal(15), Ending::Code(0)];
        assert_eq!(endings.map(is_as_by_kill), [true, true, false, false]);
    }

    #[test]
    fn a_process_that_lives_is_not_ending() {
        assert!(!is_ending(std::process::id().try_into().unwrap()));
        assert!(is_ending(0));
    }
}
