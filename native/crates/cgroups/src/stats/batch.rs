//! Reading many cgroups on several threads: nearly all of the time is the kernel's, making texts.

use super::files::Text;
use super::group::{Clock, Group};
use super::{Depth, Stats};
use crate::detect::Layout;
use crate::error::Result;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// As many as are taken at a time.
const STRIDE: usize = 8;
/// A thread is worth its making for so many (it costs as much as reading three).
const PER_THREAD: usize = 24;
/// More would stand in each other's way in the kernel.
const MOST_THREADS: usize = 4;

/// A cgroup to be read, and what came of it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) path: String,
    pub(super) group: Group,
    pub(super) depth: Depth,
    pub(super) stats: Result<Option<Stats>>,
    pub(super) nano_cores: Option<u64>,
}

/// What all threads of a batch see.
#[derive(Debug)]
pub(super) struct Batch {
    layout: Arc<Layout>,
    clock: Clock,
    units: Vec<Mutex<Option<Unit>>>,
    next: AtomicUsize,
    left: Mutex<usize>,
    done: Condvar,
    /// Descriptors that all groups hold, in this batch or not, and how many they may.
    open: AtomicUsize,
    most_open: usize,
}

/// What a batch came to.
#[derive(Debug)]
pub(super) struct Finished {
    /// In the order given.
    pub(super) units: Vec<Unit>,
    /// Descriptors held now.
    pub(super) open: usize,
    /// Whether files were closed for want of room.
    pub(super) crowded: bool,
}

/// What a batch is begun with.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) layout: Arc<Layout>,
    pub(super) clock: Clock,
    pub(super) units: Vec<Unit>,
    pub(super) open: usize,
    pub(super) most_open: usize,
}

/// Reads all units. The calling thread does what others do not get to: it never waits for a thread that
/// the scheduler has not begun yet.
pub(super) fn run(with: Beginning) -> Finished {
    let count = with.units.len();
    let batch = Arc::new(Batch {
        layout: with.layout,
        clock: with.clock,
        units: with.units.into_iter().map(|unit| Mutex::new(Some(unit))).collect(),
        next: AtomicUsize::new(0),
        left: Mutex::new(count),
        done: Condvar::new(),
        open: AtomicUsize::new(with.open),
        most_open: with.most_open,
    });
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS).min(count / PER_THREAD);
    for _ in 1..threads {
        let shared = Arc::clone(&batch);
        // without one all is read here
        let _ = thread::Builder::new().name("podwright-stats".into()).spawn(move || shared.work());
    }
    batch.work();
    batch.finish()
}

impl Batch {
    fn work(&self) {
        let mut text = Text::new();
        loop {
            let from = self.next.fetch_add(STRIDE, Ordering::Relaxed);
            let Some(units) = self.units.get(from..self.units.len().min(from + STRIDE)).filter(|u| !u.is_empty())
            else {
                return;
            };
            let _counted = Counted { batch: self, count: units.len() };
            for unit in units {
                if let Some(unit) = locked(unit).as_mut() {
                    self.read(unit, &mut text);
                }
            }
        }
    }

    fn read(&self, unit: &mut Unit, text: &mut Text) {
        let held = unit.group.files.count();
        unit.stats = unit.group.read(&self.layout, unit.depth, &self.clock, text);
        if let Ok(Some(stats)) = &unit.stats
            && unit.depth != Depth::All
        {
            unit.nano_cores = unit.group.nano_cores(stats);
        }
        let holds = unit.group.files.count();
        // relaxed: a bound on caching, not a lock
        let open = self.open.fetch_add(holds, Ordering::Relaxed) + holds - held;
        self.open.fetch_sub(held, Ordering::Relaxed);
        // in a batch too large for the bound the first stay, so that each batch has some hits
        if open > self.most_open {
            unit.group.files.close();
            self.open.fetch_sub(holds, Ordering::Relaxed);
        }
    }

    fn finish(&self) -> Finished {
        let mut left = locked(&self.left);
        while *left > 0 {
            left = self.done.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        drop(left);
        let units: Vec<Unit> = self.units.iter().filter_map(|unit| locked(unit).take()).collect();
        let crowded = units.iter().any(|u| u.group.files.count() == 0 && matches!(u.stats, Ok(Some(_))));
        Finished { units, open: self.open.load(Ordering::Relaxed), crowded }
    }
}

/// Counts units as done when it goes, also by a panic: the reader must not wait for ever.
struct Counted<'b> {
    batch: &'b Batch,
    count: usize,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut left = locked(&self.batch.left);
        *left -= self.count;
        if *left == 0 {
            self.batch.done.notify_all();
        }
    }
}

/// What a panic left is only a cache, and is used on.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
