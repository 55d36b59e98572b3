//! OOM kills in a container's cgroup, told as they happen.

use crate::clock;
use crate::poller::Source;
use crate::server::Monitor;
use crate::timers::Due;
use podwright_container::cgroup;
use podwright_protocol::message::{OomFact, event};
use podwright_sys::errno::SysResult;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// v1 gives notice before the kill is counted: the count is read so much later, in milliseconds.
const COUNT_AFTER_MS: u64 = 20;

impl Monitor {
    /// Begins to watch a container's cgroup. Without it the count at the exit is still true, so a
    /// kernel that offers no notice costs only the event.
    pub(crate) fn watch_oom(&mut self, key: u64) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        let file = Path::new(&container.cgroup.memory_events);
        let watched = match file.file_name().and_then(|n| n.to_str()) {
            Some("memory.oom_control") => v1_notice(file).filter(|fd| self.poller.add(fd, Source::Oom(key)).is_ok()),
            Some(_) => v2_notice(file).filter(|fd| self.poller.add_priority(fd, Source::Oom(key)).is_ok()),
            None => None,
        };
        container.oom = watched;
    }

    /// A notice came: the count is read a little later.
    pub(crate) fn oom_ready(&mut self, key: u64) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        let Some(fd) = &container.oom else { return };
        let v1 = container.cgroup.memory_events.ends_with("oom_control");
        // Reading takes the notice back; v2's file is read whole each time, from its beginning.
        let mut buffer = [0; 256];
        let read = if v1 { rustix::io::read(fd, &mut buffer) } else { rustix::io::pread(fd, &mut buffer, 0) };
        if read.is_err() {
            self.close_oom(key); // the cgroup has gone
            return;
        }
        self.timers.add(clock::deadline(COUNT_AFTER_MS), Due::OomCount(key));
    }

    /// Tells of kills that were not told yet.
    pub(crate) fn oom_count(&mut self, key: u64) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key).filter(|c| c.exit.is_none()) else { return Ok(()) };
        let Ok(oom_kills) = cgroup::kills(Path::new(&container.cgroup.memory_events)) else { return Ok(()) };
        if oom_kills <= container.oom_told {
            return Ok(());
        }
        container.oom_told = oom_kills;
        let container_id = container.id.clone();
        self.push(event::Event::Oom(OomFact { container_id, oom_kills, at: clock::now(), ..OomFact::default() }))
    }

    /// Stops watching.
    pub(crate) fn close_oom(&mut self, key: u64) {
        if let Some(fd) = self.containers.get_mut(&key).and_then(|c| c.oom.take()) {
            self.poller.remove(&fd);
        }
    }
}

/// An eventfd that the v1 memory controller signals (cgroup-v1/memory.rst, "OOM Control").
fn v1_notice(file: &Path) -> Option<OwnedFd> {
    let notice = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
    let control = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let line = format!("{} {}", notice.as_raw_fd(), control.as_raw_fd());
    std::fs::write(file.with_file_name("cgroup.event_control"), line).ok()?;
    Some(notice)
}

/// memory.events itself: poll(2) reports a change as an exceptional condition.
fn v2_notice(file: &Path) -> Option<OwnedFd> {
    let events = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // Only what changes after a read is reported.
    rustix::io::read(&events, &mut [0_u8; 256]).ok()?;
    Some(events)
}
