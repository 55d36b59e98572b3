//! The monitor's end: everything in the sandbox first, then itself.

use crate::clock;
use crate::container::{Container, Phase};
use crate::external::External;
use crate::kill;
use crate::reply::{Asker, done, failure};
use crate::server::Monitor;
use crate::timers::Due;
use podwright_protocol::message::failure::Kind;
use podwright_sys::errno::SysResult;
use podwright_sys::signal;

/// How long killed processes may take to end, in milliseconds.
const LIMIT_MS: u64 = 10_000;

impl Monitor {
    /// Kills everything; the answer comes when it has ended, just before the monitor ends too.
    pub(crate) fn shutdown(&mut self, asker: Option<Asker>) -> SysResult<()> {
        self.stop_checkpoint()?;
        let again = self.ending.is_some();
        self.ending.get_or_insert_default().extend(asker);
        let keys: Vec<u64> =
            self.containers.iter().filter(|(_, c)| c.phase != Phase::Ended).map(|(key, _)| *key).collect();
        for key in keys {
            self.kill_container(key);
        }
        if let Some(pause) = self.sandbox.as_ref().and_then(|s| s.pause.as_ref()) {
            // our child, not reaped yet
            let _ = signal::send(pause.pid, 9);
        }
        if !again {
            self.hurry_all_hooks();
            self.timers.add(clock::deadline(LIMIT_MS), Due::ShutdownLimit);
        }
        self.look_for_end()
    }

    /// Ends the monitor if that was asked for and nothing is left. To be called after each end.
    pub(crate) fn look_for_end(&mut self) -> SysResult<()> {
        let is_left = |c: &Container| {
            c.phase != Phase::Ended
                || c.external.as_ref().is_some_and(External::is_left)
                || c.hooks.as_ref().is_some_and(|h| h.are_left())
        };
        let left = self.containers.values().any(is_left) || self.sandbox.as_ref().is_some_and(|s| s.pause.is_some());
        if left || self.ending.is_none() {
            return Ok(());
        }
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.unpin();
        }
        self.remove_exec_cgroups();
        // It may have been removed with its directory.
        let _ = rustix::fs::unlink(&self.socket_path);
        for asker in self.ending.take().unwrap_or_default() {
            self.answer(asker, done())?;
        }
        self.end();
        Ok(())
    }

    /// Something does not end: who waits is told what, and the monitor stays with it.
    pub(crate) fn shutdown_limit(&mut self) -> SysResult<()> {
        let Some(askers) = self.ending.take() else { return Ok(()) };
        let live = self.containers.values().filter(|c| c.phase != Phase::Ended);
        let stuck: Vec<String> = live.flat_map(|c| kill::stuck(&c.cgroup)).collect();
        let hooked = self
            .containers
            .values()
            .filter(|c| c.phase == Phase::Ended && c.hooks.as_ref().is_some_and(|h| h.are_left()));
        let hooked: Vec<String> = hooked.map(|c| format!("poststop hooks of container {}", c.id)).collect();
        let text = format!("processes do not end: {}", [stuck, hooked].concat().join(", "));
        for asker in askers {
            self.answer(
                asker,
                Err(failure(Kind::DeadlineExceeded, "end the sandbox", &self.id.clone(), text.clone())),
            )?;
        }
        Ok(())
    }

    /// SIGTERM: ends an idle monitor, is ignored while containers live.
    pub(crate) fn terminate(&mut self) -> SysResult<()> {
        if self.containers.values().any(|c| c.phase != Phase::Ended) {
            return Ok(());
        }
        self.shutdown(None)
    }
}
