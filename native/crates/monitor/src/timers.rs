//! What is to be done later, by boot time. An entry is never taken back: who handles it looks
//! whether it still holds. PURE.

use std::collections::BTreeMap;

/// What is due; the numbers are keys of containers, execs and reopenings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The buffers' pages may go.
    Rest,
    /// Connections may be taken again.
    Accept,
    /// A connection has said nothing whole.
    Silent(u64),
    /// A container's set-up takes too long.
    CreateDeadline(u64),
    /// A program whose start failed runs all the same.
    StartFailed(u64),
    /// A stop's grace is over.
    StopDeadline(u64),
    /// A kill is to be repeated.
    KillAgain(u64),
    /// What was killed has not ended.
    Stuck(u64),
    /// No more output is waited for after an exit.
    DrainEnd(u64),
    /// A log is written no longer after an exit.
    LogEnd(u64),
    /// An exit file is to be tried again.
    ExitFile(u64),
    /// OOM kills are to be counted.
    OomCount(u64),
    /// An exec's time limit.
    ExecDeadline(u64),
    /// An exec's start takes too long.
    ExecStart(u64),
    /// No more output of an exec is waited for.
    ExecDrained(u64),
    /// A killed exec has not ended.
    ExecGiveUp(u64),
    /// An attachment's streams are to be taken.
    Untaken(u64),
    /// A reader of a container's output was slow.
    Slow(u64),
    /// A container's outputs are to be read or held back.
    Hold(u64),
    /// Commands beside a checkpoint have not ended.
    CheckpointWait,
    /// Hooks are waited for by a removal.
    HooksLimit(u64),
    /// Hooks that were told to end have not.
    HooksKill(u64),
    /// Who makes a container through a runtime was told to end and has not.
    HelperKill(u64),
    /// Connecting to a port takes too long.
    ConnectDeadline(u64),
    /// A port's stream was closed by the daemon.
    Linger(u64),
    /// Cgroups of execs are to be removed.
    ExecCgroups,
    /// A log's opening takes too long.
    ReopenDeadline(u64),
    /// A helper takes too long.
    ErrandDeadline(u64),
    /// A helper that was told to stop has not ended.
    ErrandKill(u64),
    /// The shutdown takes too long.
    ShutdownLimit,
}

/// Entries by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    entries: BTreeMap<(i64, u64), Due>,
    sequence: u64,
}

impl Timers {
    /// Adds an entry for a time of [`crate::clock::boot`].
    pub(crate) fn add(&mut self, at: i64, due: Due) {
        self.sequence += 1;
        self.entries.insert((at, self.sequence), due);
    }

    /// When the next entry is due.
    pub(crate) fn next(&self) -> Option<i64> {
        self.entries.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next entry that is due at `now`.
    pub(crate) fn take_due(&mut self, now: i64) -> Option<Due> {
        let first = self.entries.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_order_when_due() {
        let mut timers = Timers::default();
        timers.add(20, Due::Rest);
        timers.add(10, Due::Stuck(1));
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.take_due(9), None);
        assert_eq!(timers.take_due(10), Some(Due::Stuck(1)));
        assert_eq!(timers.next(), Some(20));
        assert_eq!(timers.take_due(15), None);
    }
}
