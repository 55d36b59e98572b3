//! The writer processes of logs: heard while they work, waited for when a container has ended.

use crate::clock;
use crate::poller::Source;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_sys::errno::SysResult;

/// How long an exit waits for a log whose filesystem is slow, in milliseconds.
const LOG_END_MS: u64 = 5000;

impl Monitor {
    /// To be called when a log may have begun or ended to have a writer.
    pub(crate) fn watch_log(&mut self, key: u64) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        for writer in container.log.writers() {
            writer.watch(|socket, wanted| {
                if !wanted {
                    self.poller.remove(socket);
                }
                // one that cannot be watched is tried again at the next output
                wanted && self.poller.add(socket, Source::Log(key)).is_ok()
            });
        }
        container.log.forget_ended();
    }

    /// A log's writer has something to say, or has ended.
    pub(crate) fn log_ready(&mut self, key: u64) -> SysResult<()> {
        let trouble = self.containers.get_mut(&key).and_then(|c| c.log.hear());
        self.tell_trouble(key, trouble)?;
        self.watch_log(key);
        let ends = self.containers.get(&key).is_some_and(|c| c.ending.is_some() && c.log.is_done());
        if ends { self.record_exit(key) } else { Ok(()) }
    }

    /// No more output of a container comes: its exit is recorded when its log is written.
    pub(crate) fn end_log(&mut self, key: u64) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let open = container.log.is_open();
        let trouble = container.log.finish(self.room.bytes());
        let done = container.log.is_done();
        self.scratch_used();
        self.tell_trouble(key, trouble)?;
        if done {
            return self.record_exit(key);
        }
        self.watch_log(key);
        if open {
            self.timers.add(clock::deadline(LOG_END_MS), Due::LogEnd(key));
        }
        Ok(())
    }

    /// An exit waits no longer for a log.
    pub(crate) fn log_end(&mut self, key: u64) -> SysResult<()> {
        let waits = self.containers.get(&key).is_some_and(|c| c.ending.is_some());
        if waits { self.record_exit(key) } else { Ok(()) }
    }

    /// Ends all that a log still has: what its writers have not written counts as lost.
    pub(crate) fn close_log(&mut self, key: u64) -> SysResult<()> {
        let trouble = self.containers.get_mut(&key).and_then(|c| c.log.close());
        self.tell_trouble(key, trouble)?;
        self.watch_log(key);
        Ok(())
    }
}
