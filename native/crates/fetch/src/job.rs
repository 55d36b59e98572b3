//! Running fetches: how far each is, and how one is stopped.

use crate::cause::Cause;
use crate::piece::Pool;
use podwright_sys::heap::{map_large_blocks, trim_heap};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};
use ureq::Agent;

/// What a fetch is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Queued,
    Connecting,
    Downloading,
    Waiting,
    Unpacking,
    Syncing,
    Uploading,
}

const STAGES: [&str; 7] = ["queued", "connecting", "downloading", "waiting", "unpacking", "syncing", "uploading"];

/// A running fetch's figures (`FetchProgress` of boundary.ts).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The caller's name for it.
    pub handle: String,
    /// Compressed bytes so far.
    pub bytes: u64,
    /// Compressed bytes in all.
    pub total_bytes: u64,
    /// Uncompressed bytes so far.
    pub unpacked_bytes: u64,
    /// What it is doing.
    pub stage: &'static str,
}

/// One fetch, registered under its handle as long as this value lives.
#[derive(Debug)]
pub struct Job {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    handle: String,
    total: u64,
    bytes: AtomicU64,
    unpacked: AtomicU64,
    stage: AtomicU8,
    cancelled: AtomicBool,
    agents: Mutex<Vec<Agent>>,
    pool: Pool,
    changed: Condvar,
}

static JOBS: Mutex<BTreeMap<String, Arc<Shared>>> = Mutex::new(BTreeMap::new());

/// Layers unpacked at once; each has four threads, most of which wait.
const SLOTS: usize = 4;
static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// Agents of one fetch that a cancel ends: those of its connections, for the host and for where it redirects.
const MOST_AGENTS: usize = 16;

/// How often a waiting fetch looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// The data behind a lock is plain figures: sound even after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job {
    /// Registers a fetch; refused while another has the handle.
    pub fn register(handle: &str, total: u64) -> Result<Self, Cause> {
        static HEAP: Once = Once::new();
        HEAP.call_once(map_large_blocks);
        let shared = Arc::new(Shared {
            handle: handle.to_owned(),
            total,
            bytes: AtomicU64::new(0),
            unpacked: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Queued as u8),
            cancelled: AtomicBool::new(false),
            agents: Mutex::new(Vec::new()),
            pool: Pool::default(),
            changed: Condvar::new(),
        });
        let mut jobs = lock(&JOBS);
        if jobs.contains_key(handle) {
            return Err(Cause::Request("the handle is in use"));
        }
        jobs.insert(handle.to_owned(), Arc::clone(&shared));
        Ok(Self { shared })
    }

    /// The buffers of this fetch.
    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    pub(crate) fn stage(&self, stage: Stage) {
        self.shared.stage.store(stage as u8, Relaxed);
    }

    pub(crate) fn got(&self, bytes: u64) {
        self.shared.bytes.store(bytes, Relaxed);
    }

    pub(crate) fn unpacked(&self, bytes: u64) {
        self.shared.unpacked.store(bytes, Relaxed);
    }

    /// Fails once the fetch was cancelled.
    pub(crate) fn check(&self) -> Result<(), Cause> {
        if self.shared.cancelled.load(Relaxed) { Err(Cause::Cancelled) } else { Ok(()) }
    }

    /// Lets a cancel shut this agent down too, which interrupts a blocked read.
    pub(crate) fn use_agent(&self, agent: &Agent) -> Result<(), Cause> {
        let mut agents = lock(&self.shared.agents);
        if agents.len() == MOST_AGENTS {
            agents.remove(0);
        }
        agents.push(agent.clone());
        drop(agents);
        self.check()
    }

    /// Sleeps, unless cancelled.
    pub(crate) fn wait(&self, time: Duration) -> Result<(), Cause> {
        let until = Instant::now() + time;
        let mut held = lock(&self.shared.agents);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.check()?;
            held = self.shared.changed.wait_timeout(held, left.min(LOOK)).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.check()
    }

    /// Waits for one of the places for unpacking.
    pub(crate) fn slot(&self) -> Result<Slot, Cause> {
        let mut taken = lock(&TAKEN);
        while *taken >= SLOTS {
            self.check()?;
            taken = FREED.wait_timeout(taken, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken += 1;
        Ok(Slot)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        lock(&JOBS).remove(&self.shared.handle);
    }
}

/// A place for unpacking, given back when dropped.
pub(crate) struct Slot;

impl Drop for Slot {
    fn drop(&mut self) {
        let left = {
            let mut taken = lock(&TAKEN);
            *taken -= 1;
            *taken
        };
        FREED.notify_one();
        if left == 0 {
            // What the stages' threads freed lies in arenas of their own, which nobody else will fill again.
            trim_heap();
        }
    }
}

/// All fetches that run or wait.
pub fn progress() -> Vec<Progress> {
    let figures = |shared: &Arc<Shared>| Progress {
        handle: shared.handle.clone(),
        bytes: shared.bytes.load(Relaxed),
        total_bytes: shared.total,
        unpacked_bytes: shared.unpacked.load(Relaxed),
        stage: STAGES.get(usize::from(shared.stage.load(Relaxed))).copied().unwrap_or("queued"),
    };
    lock(&JOBS).values().map(figures).collect()
}

/// Stops a fetch soon; false if there is none of that handle.
pub fn cancel(handle: &str) -> bool {
    let Some(shared) = lock(&JOBS).get(handle).map(Arc::clone) else { return false };
    shared.cancelled.store(true, Relaxed);
    // Connections are closed outside the lock: whoever waits on them may need it.
    let agents = std::mem::take(&mut *lock(&shared.agents));
    agents.into_iter().for_each(Agent::shutdown);
    shared.changed.notify_all();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_seen_cancelled_and_gone() {
        let job = Job::register("job-test", 10).expect("register");
        assert!(Job::register("job-test", 1).is_err());
        job.got(4);
        job.stage(Stage::Downloading);
        let seen = progress().into_iter().find(|p| p.handle == "job-test").expect("listed");
        assert_eq!((seen.bytes, seen.total_bytes, seen.stage), (4, 10, "downloading"));
        let waiting = std::thread::scope(|s| {
            let waiter = s.spawn(|| job.wait(Duration::from_secs(60)));
            assert!(cancel("job-test"));
            waiter.join().expect("join")
        });
        assert!(matches!(waiting, Err(Cause::Cancelled)));
        drop(job);
        assert!(!cancel("job-test"));
    }
}
