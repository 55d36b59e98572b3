//! A container's end: seen, drained, recorded, told; in this order.

use crate::clock;
use crate::container::{Container, End, Phase};
use crate::poller::Output;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::ear::Ear;
use podwright_protocol::message::{ExitFact, StopContainerReply, event, response};
use podwright_sys::errno::SysResult;
use podwright_sys::signal::Ending;
use std::fmt::Write as _;
use std::path::Path;

/// How long output held open by survivors is waited for when they have been killed.
const DRAIN_KILLED_MS: u64 = 2000;

/// How long when they live on.
const DRAIN_LIVING_MS: u64 = 100;

/// A full disk may have room for an exit file later.
const RETRY_MS: u64 = 1000;

/// The exit code of a container whose program could not be started.
const START_FAILED: i32 = 128;

impl Monitor {
    /// A container's main process has ended.
    pub(crate) fn container_ended(&mut self, key: u64, ending: Ending) -> SysResult<()> {
        if self.revival_lost(key)? {
            return Ok(());
        }
        if self.is_undecided(key) {
            let (pid, stopped) = self.containers.get(&key).map_or((0, false), |c| (c.pid, c.stop.is_some()));
            self.strays.push((pid, ending));
            if stopped {
                self.end_external_start(key);
            }
            return Ok(());
        }
        // Who forked it may hold the report socket longer than a short program lives: it had nothing to complain about, so
        // it was started, unless it is who was to fork the program.
        let early = self.containers.get(&key).and_then(|c| c.report.as_ref()).is_some_and(Ear::is_early);
        self.container_report_ended(key, early)?;
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        container.pid = 0;
        container.start_time = 0;
        if container.phase == Phase::Failed {
            self.oom_at_end(key, None);
            return self.forget_container(key);
        }
        container.finished_at = clock::now().max(container.created_at + 1).max(container.started_at + 1);
        container.stdin = None;
        // before anything is waited for: a later kill is another, and with systemd the cgroup goes
        self.oom_at_end(key, Some(ending));
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let for_memory = !container.killed && container.oom.explains(ending, clock::boot());
        container.ending = Some(End { how: ending, for_memory, stopped: container.stop.is_some() });
        let kill_rest = container.kill_rest;
        let wait = if kill_rest { DRAIN_KILLED_MS } else { DRAIN_LIVING_MS };
        if kill_rest {
            crate::kill::kill_cgroup(&container.cgroup);
        }
        self.stop_inputs(key);
        self.hold_outputs(key);
        self.timers.add(clock::deadline(wait), Due::DrainEnd(key));
        self.drain_container(key, Output::Stdout)?;
        self.drain_container(key, Output::Stderr)?;
        self.finish_if_drained(key)
    }

    /// Records the exit when no more output can come.
    pub(crate) fn finish_if_drained(&mut self, key: u64) -> SysResult<()> {
        let done = self.containers.get(&key).is_some_and(|c| c.ending.is_some() && c.outputs.are_closed());
        if done { self.end_log(key) } else { Ok(()) }
    }

    /// The time for draining is over: what is in the pipes now is the last of it.
    pub(crate) fn drain_end(&mut self, key: u64) -> SysResult<()> {
        if self.containers.get(&key).is_none_or(|c| c.ending.is_none()) {
            return Ok(());
        }
        for output in [Output::Stdout, Output::Stderr] {
            self.drain_container(key, output)?;
            self.close_output(key, output)?;
        }
        self.end_log(key)
    }

    /// The end itself, when all output is logged or given up.
    pub(crate) fn record_exit(&mut self, key: u64) -> SysResult<()> {
        self.close_report(key);
        self.close_revival(key);
        self.oom_at_end(key, None);
        self.close_oom(key);
        self.close_log(key)?;
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let Some(end) = container.ending.take() else { return Ok(()) };
        let fact = exit_fact(container, end);
        container.exit = Some(fact.clone());
        container.phase = Phase::Ended;
        container.note = None;
        let stop = container.stop.take();
        let (removed, oom_killed) = (!container.removers.is_empty(), fact.oom_killed);
        self.write_exit_file(key);
        self.tell_last_kills(key, oom_killed)?;
        self.push(event::Event::Exit(fact))?;
        self.end_execs_of(key);
        self.forget_attachments(key);
        if let Some(stop) = stop {
            self.end_creation_hooks(key); // a start that is stopped goes no further
            self.answer_stopped(key, stop)?;
        }
        if removed {
            self.forget_container(key)?;
        }
        self.delete_external(key)?;
        self.has_stopped(key)?;
        self.look_for_end()
    }

    /// Writes the exit file; a failure is tried again later.
    pub(crate) fn write_exit_file(&mut self, key: u64) {
        let Some(container) = self.containers.get(&key) else { return };
        let Some(fact) = container.exit.as_ref().filter(|_| !container.exit_file.is_empty()) else { return };
        let text = exit_json(fact, &self.boot_id);
        let new = format!("{}.new", container.exit_file);
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &container.exit_file));
        let gone = Path::new(&container.exit_file).parent().is_some_and(|dir| !dir.exists());
        if written.is_err() && !gone {
            self.timers.add(clock::deadline(RETRY_MS), Due::ExitFile(key));
        }
    }

    /// Forgets a container that has ended and answers who waited for that.
    pub(crate) fn forget_container(&mut self, key: u64) -> SysResult<()> {
        if !self.has_stopped(key)? || !self.may_forget(key)? {
            return Ok(());
        }
        for output in [Output::Stdout, Output::Stderr] {
            self.close_output(key, output)?;
        }
        self.close_report(key);
        self.close_revival(key);
        self.close_oom(key);
        self.close_log(key)?;
        let Some(container) = self.containers.remove(&key) else { return Ok(()) };
        self.pod_kills.forget(container.oom.kills());
        self.forget_execs_of(key)?;
        for asker in container.stop.map(|s| s.askers).unwrap_or_default() {
            let reply = StopContainerReply { exit: container.exit.clone(), stuck: Vec::new() };
            self.answer(asker, Ok(response::Result::StopContainer(reply)))?;
        }
        for asker in container.removers {
            self.answer(asker, crate::reply::done())?;
        }
        Ok(())
    }
}

/// The fact of an exit.
fn exit_fact(container: &Container, end: End) -> ExitFact {
    let (oom_limit, oom_limit_bytes) = container.oom.limit();
    let (mut exit_code, mut signal) = match end.how {
        Ending::Code(code) => (code, 0),
        Ending::Signal(number) => (128 + number, number),
    };
    let started = container.started_at != 0;
    if container.start_failed || (!started && end.how == Ending::Code(START_FAILED)) {
        (exit_code, signal) = (START_FAILED, 0);
    }
    ExitFact {
        container_id: container.id.clone(),
        exit_code,
        signal,
        oom_killed: exit_code == 137 && end.for_memory,
        oom_kills: container.oom.kills(),
        oom_limit: oom_limit.into(),
        oom_limit_bytes,
        finished_at: container.finished_at,
        started,
        log_dropped_bytes: container.log.dropped(),
        stopped: end.stopped,
        started_at: container.started_at,
    }
}

/// The exit file's text: the proto3 JSON mapping of the fact, where 64-bit numbers are strings. PURE.
fn exit_json(fact: &ExitFact, boot_id: &str) -> String {
    let mut text = String::from("{\"version\":1");
    let quoted = [("boot_id", boot_id), ("containerId", fact.container_id.as_str())];
    for (key, value) in quoted {
        let _ = write!(text, ",\"{key}\":\"{}\"", escaped(value));
    }
    let _ = writeln!(
        text,
        ",\"exitCode\":{},\"signal\":{},\"oomKilled\":{},\"oomKills\":\"{}\",\"finishedAt\":\"{}\",\"started\":{},\
         \"logDroppedBytes\":\"{}\",\"stopped\":{},\"startedAt\":\"{}\",\"oomLimit\":\"{}\",\"oomLimitBytes\":\"{}\"}}",
        fact.exit_code,
        fact.signal,
        fact.oom_killed,
        fact.oom_kills,
        fact.finished_at,
        fact.started,
        fact.log_dropped_bytes,
        fact.stopped,
        fact.started_at,
        fact.oom_limit().as_str_name(),
        fact.oom_limit_bytes
    );
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use podwright_protocol::message::oom_fact::Limit;

    #[test]
    fn the_exit_file_is_json() {
        let fact = ExitFact {
            container_id: "a\"b".into(),
            exit_code: 137,
            signal: 9,
            oom_killed: true,
            oom_kills: 2,
            finished_at: 1_700_000_000_000_000_001,
            started: true,
            log_dropped_bytes: 0,
            stopped: false,
            started_at: 1_700_000_000_000_000_000,
            oom_limit: Limit::Pod.into(),
            oom_limit_bytes: 4096,
        };
        let expected = "{\"version\":1,\"boot_id\":\"x-y\",\"containerId\":\"a\\\"b\",\"exitCode\":137,\"signal\":9,\
                        \"oomKilled\":true,\"oomKills\":\"2\",\"finishedAt\":\"1700000000000000001\",\"started\":true,\
                        \"logDroppedBytes\":\"0\",\"stopped\":false,\
                        \"startedAt\":\"1700000000000000000\",\"oomLimit\":\"POD\",\
                        \"oomLimitBytes\":\"4096\"}\n";
        assert_eq!(exit_json(&fact, "x-y"), expected);
    }
}
