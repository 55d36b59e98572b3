//! The two clocks: unix time for facts, boot time for deadlines; and when processes started.

use rustix::time::{ClockId, clock_gettime};

const SECOND: i64 = 1_000_000_000;

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(SECOND).saturating_add(time.tv_nsec)
}

/// Unix time in nanoseconds.
pub(crate) fn now() -> i64 {
    nanos(ClockId::Realtime)
}

/// Nanoseconds since boot, time asleep included: what deadlines are kept by.
pub(crate) fn boot() -> i64 {
    nanos(ClockId::Boottime)
}

/// The deadline that lies `milliseconds` from now, on [`boot`]'s clock.
pub(crate) fn deadline(milliseconds: u64) -> i64 {
    let nanos = i64::try_from(milliseconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    boot().saturating_add(nanos)
}

/// When a process started, in clock ticks since boot (proc_pid_stat(5) field 22); 0 when it has gone or that cannot
/// be told.
pub(crate) fn start_time(pid: i32) -> u64 {
    podwright_sys::start_time::start_time(pid).ok().flatten().unwrap_or(0)
}
