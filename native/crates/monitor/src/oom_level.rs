//! The cgroups whose memory limits a container lives under, from its own outwards: which one was reached, and how often
//! the OOM killer struck.

use podwright_protocol::message::oom_fact::Limit;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// A limit that was reached so long ago is not why something is killed now, in nanoseconds of the boot clock.
pub(crate) const FRESH: i64 = 10_000_000_000;

/// The same where no kill was counted since, because v1 counts after it has told, which may take it long.
const FRESH_UNCOUNTED: i64 = 120_000_000_000;

/// v1 says so where there is no limit: the largest number of pages, in bytes.
const UNLIMITED: u64 = 1 << 62;

/// What kind of memory controller it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    V1,
    V2,
}

impl Layout {
    fn limit_file(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }
}

/// Kind and directory by the file that the daemon has named; none for none. PURE.
pub(crate) fn dir_of(memory_events: &str) -> Option<(Layout, &Path)> {
    let file = Path::new(memory_events);
    let layout = if file.file_name()? == "memory.oom_control" { Layout::V1 } else { Layout::V2 };
    Some((layout, file.parent()?))
}

/// One cgroup.
#[derive(Debug, Default)]
struct Level {
    /// v2: how often its limit, or one inside of it for the first, was reached without a way out.
    reached: u64,
    /// v1: signalled when its limit, or that of one above, is.
    notices: Option<OwnedFd>,
}

/// The cgroups of a container, innermost first.
#[derive(Debug)]
pub(crate) struct Levels {
    layout: Layout,
    levels: Vec<Level>,
    dir: Box<Path>,
    /// v2: the container's memory.events.
    events: Option<OwnedFd>,
    /// v2: as `reached`, of everything in the pod.
    in_pod: u64,
    last: Option<Reached>,
    /// The container's own limit as it was last seen, in bytes: its cgroup may go before the kill is looked at.
    own_bytes: u64,
}

/// The level that was reached last.
#[derive(Debug, Clone, Copy)]
struct Reached {
    level: usize,
    /// When that was seen.
    at: i64,
    /// A kill was counted since.
    counted: bool,
}

impl Levels {
    /// Begins to watch the cgroup at `dir` and all above it: above the root there is no limit's file, nor in v2's root.
    pub(crate) fn watch(layout: Layout, dir: &Path) -> Self {
        let above = dir.ancestors().take_while(|d| d.join(layout.limit_file()).exists());
        let levels = above.enumerate().map(|(at, dir)| match layout {
            Layout::V1 => Level { reached: 0, notices: v1_notice(dir) },
            Layout::V2 => Level { reached: reached(dir, at).unwrap_or(0), notices: None },
        });
        let levels = levels.collect();
        let events = Some(layout).filter(|l| *l == Layout::V2).and_then(|_| v2_notice(dir));
        let in_pod = dir.parent().and_then(|pod| keyed(pod, "memory.events", "oom")).unwrap_or(0);
        let own_bytes = bytes(dir, layout).unwrap_or(0);
        Self { layout, levels, dir: dir.into(), events, in_pod, last: None, own_bytes }
    }

    /// What becomes ready when something happens.
    pub(crate) fn notice(&self) -> Option<&OwnedFd> {
        match self.layout {
            Layout::V1 => self.levels.first().and_then(|l| l.notices.as_ref()),
            Layout::V2 => self.events.as_ref(),
        }
    }

    /// Closes that.
    pub(crate) fn drop_notice(&mut self) {
        self.events = None;
        if let Some(own) = self.levels.first_mut() {
            own.notices = None;
        }
    }

    /// Takes a notice back, and what was reached by now is no longer news: on v2 a limit may be reached without a kill, and
    /// what kills much later is another. v2's file is read whole each time, from its beginning.
    pub(crate) fn take_notice(&mut self, now: i64) -> rustix::io::Result<()> {
        // it may have been changed since
        self.own_bytes = bytes(&self.dir, self.layout).unwrap_or(self.own_bytes);
        if let Some(events) = &self.events {
            rustix::io::pread(events, &mut [0; 256], 0)?;
        }
        self.look(now);
        Ok(())
    }

    /// How many processes of the cgroup at `dir` the OOM killer has struck; none when it has gone.
    pub(crate) fn kills(&self, dir: &Path) -> Option<u64> {
        match self.layout {
            Layout::V1 => keyed(dir, "memory.oom_control", "oom_kill"),
            Layout::V2 => keyed(dir, "memory.events", "oom_kill"),
        }
    }

    /// Whose limit a kill that was just counted is for, and that limit in bytes.
    pub(crate) fn cause(&mut self, now: i64) -> (Limit, u64) {
        self.look(now);
        if self.levels.is_empty() {
            return (Limit::Unknown, 0);
        }
        let late = self.layout == Layout::V1;
        let fresh = |last: &&mut Reached| {
            now.saturating_sub(last.at) < if late && !last.counted { FRESH_UNCOUNTED } else { FRESH }
        };
        let Some(last) = self.last.as_mut().filter(fresh) else { return (Limit::Node, 0) };
        last.counted = true;
        let level = last.level;
        let dir = self.dir.ancestors().nth(level);
        let seen = if level == 0 { self.own_bytes } else { 0 };
        (limit_of(level), dir.and_then(|d| bytes(d, self.layout)).unwrap_or(seen))
    }

    /// Finds out which limit was reached since the last look.
    fn look(&mut self, now: i64) {
        let found = match self.layout {
            Layout::V1 => self.look_v1(),
            Layout::V2 => self.look_v2(),
        };
        if let Some(level) = found {
            self.last = Some(Reached { level, at: now, counted: false });
        }
    }

    /// The kernel tells a cgroup and all below it: the outermost that was told is the one.
    fn look_v1(&self) -> Option<usize> {
        let told = |level: &Level| {
            let mut count = [0; 8];
            level.notices.as_ref().is_some_and(|fd| rustix::io::read(fd, &mut count).is_ok())
        };
        let told: Vec<bool> = self.levels.iter().map(told).collect();
        told.iter().rposition(|told| *told)
    }

    fn look_v2(&mut self) -> Option<usize> {
        let mut found = None;
        let mut own_gone = false;
        for (at, dir) in self.dir.ancestors().take(self.levels.len()).enumerate() {
            let Some(level) = self.levels.get_mut(at) else { continue };
            let Some(now) = reached(dir, at) else {
                own_gone |= at == 0;
                continue;
            };
            if now > level.reached {
                level.reached = now;
                found = found.or(Some(at));
            }
        }
        let in_pod = self.dir.parent().and_then(|pod| keyed(pod, "memory.events", "oom"));
        let inside = in_pod.is_some_and(|now| now > std::mem::replace(&mut self.in_pod, now));
        // what was reached in the pod and is none of these was its own, which has gone
        if found.is_none() && own_gone && inside { Some(0) } else { found }
    }
}

/// What was killed in a pod's containers, also in those whose cgroups have gone; v2 alone counts so.
#[derive(Debug, Default)]
pub(crate) struct PodKills {
    /// Those before the first container.
    before: Option<u64>,
    /// Those of containers that are forgotten.
    forgotten: u64,
}

impl PodKills {
    /// A container of the pod is watched from now on. In a cgroup that pods share others are killed too.
    pub(crate) fn begin(&mut self, layout: Layout, dir: &Path) {
        if self.before.is_none() && layout == Layout::V2 {
            let pod = dir.parent().filter(|pod| is_of_one_pod(pod));
            self.before = pod.and_then(|pod| keyed(pod, "memory.events", "oom_kill"));
        }
    }

    /// A container is forgotten.
    pub(crate) fn forget(&mut self, kills: u64) {
        self.forgotten += kills;
    }

    /// Kills that no container has counted; `known`: those that one has.
    pub(crate) fn unknown(&self, layout: Layout, dir: &Path, known: u64) -> u64 {
        let (Some(before), Layout::V2) = (self.before, layout) else { return 0 };
        let now = dir.parent().and_then(|pod| keyed(pod, "memory.events", "oom_kill")).unwrap_or(0);
        now.saturating_sub(before + self.forgotten + known)
    }
}

/// Whether a cgroup is one pod's and nobody else's: the daemon's own (`/podwright/pods/ID`,
/// `podwright-pods-ID.slice`) or a kubelet's (`/kubepods/burstable/podUID`, `kubepods-burstable-podUID.slice`); any other
/// parent that a client names may be shared. PURE.
fn is_of_one_pod(dir: &Path) -> bool {
    let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { return false };
    let Some(slice) = name.strip_suffix(".slice") else {
        let by_kubelet = dir.ancestors().skip(1).any(|above| above.ends_with("kubepods"));
        return dir.parent().is_some_and(|above| above.ends_with("podwright/pods"))
            || (by_kubelet && name.starts_with("pod"));
    };
    let by_kubelet = slice.split('-').any(|part| part == "kubepods");
    slice.starts_with("podwright-pods-")
        || (by_kubelet && slice.rsplit('-').next().is_some_and(|part| part.starts_with("pod")))
}

fn limit_of(level: usize) -> Limit {
    match level {
        0 => Limit::Own,
        1 => Limit::Pod,
        _ => Limit::Above,
    }
}

/// How often a v2 cgroup's limit was reached; for the container's own those of cgroups inside count.
fn reached(dir: &Path, level: usize) -> Option<u64> {
    keyed(dir, if level == 0 { "memory.events" } else { "memory.events.local" }, "oom")
}

fn bytes(dir: &Path, layout: Layout) -> Option<u64> {
    let text = std::fs::read_to_string(dir.join(layout.limit_file())).ok()?;
    text.trim().parse().ok().filter(|bytes| *bytes < UNLIMITED)
}

/// A number of a file with lines `name number`.
fn keyed(dir: &Path, file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(dir.join(file)).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(Some(0), |number| number.trim().parse().ok())
}

/// An eventfd that the v1 memory controller signals (cgroup-v1/memory.rst, "OOM Control").
fn v1_notice(dir: &Path) -> Option<OwnedFd> {
    let notice = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
    let control = dir.join("memory.oom_control");
    let control = rustix::fs::open(&control, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let line = format!("{} {}", notice.as_raw_fd(), control.as_raw_fd());
    std::fs::write(dir.join("cgroup.event_control"), line).ok()?;
    Some(notice)
}

/// memory.events itself: poll(2) reports a change as an exceptional condition.
fn v2_notice(dir: &Path) -> Option<OwnedFd> {
    let path = dir.join("memory.events");
    let events = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // Only what changes after a read is reported.
    rustix::io::read(&events, &mut [0_u8; 256]).ok()?;
    Some(events)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A directory that looks like a pod's cgroup with one container.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let at = std::env::temp_dir().join(format!("podwright-oom-{name}-{}", std::process::id()));
            let tree = Self(at.join("podwright/pods"));
            std::fs::create_dir_all(tree.0.join("pod/own")).unwrap();
            for dir in ["pod/own", "pod"] {
                tree.write(dir, "memory.max", "4096\n");
                tree.write(dir, "memory.events", "oom 0\noom_kill 0\n");
                tree.write(dir, "memory.events.local", "oom 0\noom_kill 0\n");
            }
            tree
        }

        fn write(&self, dir: &str, file: &str, text: &str) {
            std::fs::write(self.0.join(dir).join(file), text).unwrap();
        }

        fn own(&self) -> PathBuf {
            self.0.join("pod/own")
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            std::fs::remove_dir_all(self.0.ancestors().nth(2).unwrap()).unwrap();
        }
    }

    #[test]
    fn the_limit_that_was_reached_is_found() {
        let tree = Tree::new("limit");
        let mut levels = Levels::watch(Layout::V2, &tree.own());
        assert_eq!(levels.cause(1), (Limit::Node, 0), "nothing was reached");
        tree.write("pod/own", "memory.events", "oom 1\noom_kill 1\n");
        tree.write("pod", "memory.events", "oom 1\noom_kill 1\n");
        assert_eq!(levels.cause(2), (Limit::Own, 4096));
        assert_eq!(levels.cause(3), (Limit::Own, 4096), "more of the same");
        assert_eq!(levels.cause(3 + FRESH), (Limit::Node, 0), "that was long ago");
        tree.write("pod", "memory.max", "max\n");
        tree.write("pod", "memory.events", "oom 2\noom_kill 2\n");
        tree.write("pod", "memory.events.local", "oom 1\noom_kill 0\n");
        assert_eq!(levels.cause(4 + FRESH), (Limit::Pod, 0));
    }

    #[test]
    fn a_limit_that_was_reached_without_a_kill_is_not_why_one_comes_later() {
        let tree = Tree::new("no-kill");
        let mut levels = Levels::watch(Layout::V2, &tree.own());
        tree.write("pod/own", "memory.events", "oom 2\noom_kill 0\n");
        tree.write("pod", "memory.events", "oom 2\noom_kill 0\n");
        levels.take_notice(1).unwrap();
        tree.write("pod/own", "memory.events", "oom 2\noom_kill 1\n");
        tree.write("pod", "memory.events", "oom 3\noom_kill 1\n");
        tree.write("pod", "memory.events.local", "oom 1\noom_kill 0\n");
        assert_eq!(levels.cause(2), (Limit::Pod, 4096), "the news is of the pod alone");
        tree.write("pod/own", "memory.events", "oom 3\noom_kill 1\n");
        levels.take_notice(3).unwrap();
        assert_eq!(levels.cause(3 + FRESH), (Limit::Node, 0), "reached long ago, and nobody was killed for it");
    }

    #[test]
    fn a_limit_far_above_is_found() {
        let tree = Tree::new("deep");
        let own = tree.0.join("pod/a/b/c/own");
        std::fs::create_dir_all(&own).unwrap();
        for dir in ["pod/a", "pod/a/b", "pod/a/b/c", "pod/a/b/c/own"] {
            tree.write(dir, "memory.max", "max\n");
            tree.write(dir, "memory.events", "oom 0\noom_kill 0\n");
            tree.write(dir, "memory.events.local", "oom 0\noom_kill 0\n");
        }
        let mut levels = Levels::watch(Layout::V2, &own);
        tree.write("pod", "memory.events.local", "oom 1\noom_kill 0\n");
        assert_eq!(levels.cause(1), (Limit::Above, 4096));
    }

    #[test]
    fn a_notice_of_v1_may_be_long_before_its_kill_is_counted() {
        let tree = Tree::new("late");
        tree.write("pod/own", "memory.limit_in_bytes", "4096\n");
        let mut levels = Levels::watch(Layout::V1, &tree.own());
        let notices = eventfd(1, EventfdFlags::NONBLOCK).unwrap();
        levels.levels[0].notices = Some(notices.try_clone().unwrap());
        levels.take_notice(1).unwrap();
        assert_eq!(levels.cause(1 + 5 * FRESH), (Limit::Own, 4096));
        assert_eq!(levels.cause(1 + 6 * FRESH), (Limit::Node, 0), "a kill was counted since");
        rustix::io::write(&notices, &1_u64.to_ne_bytes()).unwrap();
        levels.take_notice(2).unwrap();
        assert_eq!(levels.cause(2 + FRESH_UNCOUNTED), (Limit::Node, 0), "none takes so long");
    }

    #[test]
    fn of_a_cgroup_that_has_gone_the_pod_tells() {
        let tree = Tree::new("gone");
        let own = tree.own();
        let mut levels = Levels::watch(Layout::V2, &own);
        let mut kills = PodKills::default();
        kills.begin(Layout::V2, &own);
        std::fs::remove_dir_all(&own).unwrap();
        assert_eq!(levels.kills(&own), None);
        tree.write("pod", "memory.events", "oom 1\noom_kill 3\n");
        assert_eq!(kills.unknown(Layout::V2, &own, 1), 2);
        kills.forget(2);
        assert_eq!(kills.unknown(Layout::V2, &own, 1), 0);
        assert_eq!(levels.cause(1), (Limit::Own, 4096), "as it was last seen");
    }

    #[test]
    fn what_is_killed_in_a_shared_cgroup_is_nobodys() {
        let table = [
            ("/sys/fs/cgroup/podwright/pods/3f", true),
            ("/sys/fs/cgroup/podwright.slice/podwright-pods.slice/podwright-pods-3f.slice", true),
            ("/sys/fs/cgroup/kubepods/burstable/pod1-2", true),
            ("/sys/fs/cgroup/kubepods/pod1-2", true),
            ("/sys/fs/cgroup/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice", true),
            ("/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1_2.slice", true),
            ("/sys/fs/cgroup/kubepods.slice/kubepods-besteffort.slice", false),
            ("/sys/fs/cgroup/kubepods/burstable", false),
            ("/sys/fs/cgroup/system.slice", false),
            ("/sys/fs/cgroup/podwright.slice/podwright-pods.slice", false),
            ("/sys/fs/cgroup/mine/pods", false),
            ("/sys/fs/cgroup", false),
        ];
        for (dir, expected) in table {
            assert_eq!(is_of_one_pod(Path::new(dir)), expected, "{dir}");
        }
        let tree = Tree::new("shared");
        let own = tree.0.join("own");
        let mut kills = PodKills::default();
        tree.write(".", "memory.events", "oom 0\noom_kill 0\n");
        kills.begin(Layout::V2, &own);
        tree.write(".", "memory.events", "oom 2\noom_kill 2\n");
        assert_eq!(kills.unknown(Layout::V2, &own, 0), 0);
    }

    #[test]
    fn the_kind_is_told_by_the_file() {
        assert_eq!(dir_of("/a/memory.oom_control"), Some((Layout::V1, Path::new("/a"))));
        assert_eq!(dir_of("/a/memory.events.local"), Some((Layout::V2, Path::new("/a"))));
        assert_eq!(dir_of(""), None);
    }
}
