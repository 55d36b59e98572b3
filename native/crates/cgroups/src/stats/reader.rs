//! The batch read, with the files of recently read cgroups kept open.

use super::batch::{Beginning, Finished, Unit, run};
use super::group::{Clock, Group};
use super::message::{self, Told};
use super::wire::Wire;
use super::{Depth, Stats};
use crate::detect::{Layout, check_path};
use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;

/// Cgroups that are remembered, with files or without. One is forgotten when it is removed here; that of a pod
/// may be removed by whoever made it.
const MOST_KNOWN: usize = 4096;
/// Bytes of one answer with pressure and all else.
const ROOM: usize = 320;

/// Reads usage. Holds at most `most_open` descriptors plus those of the cgroups at hand; the
/// cgroups longest not read lose theirs first.
#[derive(Debug)]
pub struct StatsReader {
    layout: Arc<Layout>,
    most_open: usize,
    open: usize,
    turn: u64,
    groups: HashMap<String, Group>,
}

impl StatsReader {
    /// A reader over `layout` that keeps at most `most_open` files open.
    pub fn new(layout: Layout, most_open: usize) -> Self {
        Self { layout: Arc::new(layout), most_open, open: 0, turn: 0, groups: HashMap::new() }
    }

    /// All that is counted of each cgroup, in order; `None` for one that does not exist.
    pub fn read(&mut self, paths: &[String]) -> Result<Vec<Option<Stats>>> {
        let wanted = paths.iter().map(|path| (path, Depth::All));
        let (places, units) = self.take(wanted)?;
        let read = self.keep(units, Clock::of_the_wall())?;
        Ok(places.into_iter().map(|at| read[at].as_ref().map(|(stats, _)| stats.clone())).collect())
    }

    /// What CRI reports of containers, then of pods, in order: of each four bytes of length (little-endian) and
    /// so many of protobuf, the fields of ContainerStats and of LinuxPodSandboxStats that come from a cgroup. Length 0: it
    /// does not exist. Times are those of the caller's `clock`.
    pub fn usage(&mut self, containers: &[String], pods: &[String], clock: Clock) -> Result<Vec<u8>> {
        // pods first: of a path that is both, more is read
        let wanted = pods.iter().map(|path| (path, Depth::Pod));
        let wanted = wanted.chain(containers.iter().map(|path| (path, Depth::Container)));
        let (places, units) = self.take(wanted)?;
        let read = self.keep(units, clock)?;
        let mut answer = Wire::with_room(places.len() * ROOM);
        let (of_pods, of_containers) = places.split_at(pods.len());
        for at in of_containers {
            answer.framed(|to| tell(to, &read[*at], message::container));
        }
        for at in of_pods {
            answer.framed(|to| tell(to, &read[*at], message::pod));
        }
        Ok(answer.into_bytes())
    }

    /// Closes the files of a cgroup that was removed, and of those below it.
    pub fn forget(&mut self, path: &str) {
        let below = format!("{path}/");
        let open = &mut self.open;
        self.groups.retain(|at, group| {
            let gone = at == path || at.starts_with(&below);
            if gone {
                *open -= group.files.count();
            }
            !gone
        });
    }

    /// How many descriptors are held.
    pub fn open_files(&self) -> usize {
        self.open
    }

    /// What is to be read, each cgroup once, and which of it answers each question.
    fn take<'p>(
        &mut self,
        wanted: impl Iterator<Item = (&'p String, Depth)> + Clone,
    ) -> Result<(Vec<usize>, Vec<Unit>)> {
        wanted.clone().try_for_each(|(path, _)| check_path(path))?;
        self.turn += 1;
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut units: Vec<Unit> = Vec::new();
        let mut places = Vec::new();
        for (path, depth) in wanted {
            let at = *seen.entry(path).or_insert_with(|| {
                let known = self.groups.remove(path);
                let mut group = known.unwrap_or_else(|| Group::new(&self.layout, path));
                group.last_read = self.turn;
                units.push(Unit { path: path.clone(), group, depth, stats: Ok(None), nano_cores: None });
                units.len() - 1
            });
            places.push(at);
        }
        Ok((places, units))
    }

    /// Reads the units and keeps their groups; the first failure, if there is one.
    fn keep(&mut self, units: Vec<Unit>, clock: Clock) -> Result<Vec<Reading>> {
        let layout = Arc::clone(&self.layout);
        let Finished { units, open, crowded } =
            run(Beginning { layout, clock, units, open: self.open, most_open: self.most_open });
        self.open = open;
        let mut readings = Vec::with_capacity(units.len());
        let mut failure = Ok(());
        for Unit { path, group, stats, nano_cores, .. } in units {
            match stats {
                Ok(Some(stats)) => {
                    readings.push(Some((stats, nano_cores)));
                    self.groups.insert(path, group);
                    continue;
                }
                Ok(None) => {}
                Err(e) => failure = failure.and(Err(e)),
            }
            readings.push(None);
            self.open -= group.files.count();
        }
        if crowded {
            self.make_room();
        }
        self.drop_the_oldest();
        failure.map(|()| readings)
    }

    /// Closes the files of what was not read in this turn.
    fn make_room(&mut self) {
        for group in self.groups.values_mut().filter(|group| group.last_read < self.turn) {
            self.open -= group.files.count();
            group.files.close();
        }
    }

    fn drop_the_oldest(&mut self) {
        let over = self.groups.len().saturating_sub(MOST_KNOWN);
        if over == 0 {
            return;
        }
        let mut by_age: Vec<(u64, String)> =
            self.groups.iter().map(|(path, group)| (group.last_read, path.clone())).collect();
        by_age.sort_unstable();
        for (_, path) in by_age.into_iter().take(over) {
            if let Some(group) = self.groups.remove(&path) {
                self.open -= group.files.count();
            }
        }
    }
}

/// What was read of a cgroup, with its rate; `None`: it does not exist.
type Reading = Option<(Stats, Option<u64>)>;

fn tell(to: &mut Wire, reading: &Reading, write: impl Fn(&mut Wire, &Stats, Told)) {
    if let Some((stats, nano_cores)) = reading {
        write(to, stats, Told { timestamp_ns: stats.timestamp_ns, nano_cores: *nano_cores });
    }
}
