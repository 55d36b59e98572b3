//! What is fuzzed of this crate (`native/fuzz`).

use crate::ids::{IdMaps, IdRange};
use crate::process::program_name;
use crate::request::{Overlay, PidMode, Request};
use crate::spec::Spec;
use crate::steps::{MountSource, Plan, Step, plan};

/// Containers that a spec may be for.
fn requests(terminal: bool) -> [Request; 3] {
    let bundle = String::from("/b");
    let host = Request { bundle: bundle.clone(), terminal, pid: PidMode::Host, ..Request::default() };
    let overlay = Overlay { lower: vec!["/l".into()], upper: "/u".into(), work: "/w".into(), ..Overlay::default() };
    let usual =
        Request { shm: true, overlay: Some(overlay), log_path: "/log".into(), pid: PidMode::Own, ..host.clone() };
    let range = IdRange { inside: 0, outside: 100_000, count: 65_536 };
    let ids = Some(IdMaps { uids: range, gids: range });
    [Request { ids, pid: PidMode::Shared, ..usual.clone() }, usual, host]
}

/// A config.json: what is planned of it is in order, stays inside, and is the same each time.
///
/// # Panics
/// What must not be.
pub fn spec(bytes: &[u8]) {
    let _ = program_name(&String::from_utf8_lossy(bytes));
    let Ok(spec) = serde_json::from_slice::<Spec>(bytes) else { return };
    let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
    for request in requests(terminal) {
        if let Ok(planned) = plan(&spec, &request) {
            check(&planned);
            assert_eq!(plan(&spec, &request).ok(), Some(planned));
        }
    }
}

fn check(plan: &Plan) {
    let places = |is: fn(&Step) -> bool| -> Vec<usize> {
        plan.steps.iter().enumerate().filter(|(_, step)| is(step)).map(|(at, _)| at).collect()
    };
    let only = |is: fn(&Step) -> bool| match places(is)[..] {
        [at] => at,
        ref others => panic!("{others:?} of {plan:?}"),
    };
    let isolate = only(|step| matches!(step, Step::Isolate { .. }));
    let root = only(|step| matches!(step, Step::Root(_)));
    let pivot = only(|step| matches!(step, Step::PivotRoot));
    assert!(isolate < root && root < pivot, "{plan:?}");
    // sources are the host's; nothing is mounted before the root is, or after the host's is gone
    assert!(places(|step| matches!(step, Step::TakeSource(_))).iter().all(|at| *at < isolate), "{plan:?}");
    assert!(places(|step| matches!(step, Step::StackImage(_))).iter().all(|at| *at < root), "{plan:?}");
    let inside = |step: &Step| matches!(step, Step::Mount(_) | Step::MakeDevices(_) | Step::Terminal { .. });
    assert!(places(inside).iter().all(|at| (root..pivot).contains(at)), "{plan:?}");
    let covered = |step: &Step| matches!(step, Step::Mask(_) | Step::ReadonlyPath(_) | Step::ReadonlyRoot);
    assert!(places(covered).iter().all(|at| *at > pivot), "{plan:?}");

    let mut taken: Vec<usize> = Vec::new();
    let mut wanted: Vec<usize> = Vec::new();
    for step in &plan.steps {
        match step {
            Step::TakeSource(source) => taken.push(source.index),
            Step::StackImage(image) => taken.push(image.index),
            Step::Mount(mount) => {
                let parts = mount.target.strip_prefix('/').unwrap_or_default().split('/');
                assert!(parts.clone().all(|part| !matches!(part, "" | "." | "..")), "{}", mount.target);
                if let MountSource::Taken(index) = mount.source {
                    wanted.push(index);
                }
            }
            _ => {}
        }
    }
    taken.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(taken, wanted, "each source is mounted once");

    let process = &plan.process;
    assert!(process.args.first().is_some_and(|program| !program.is_empty()) && process.cwd.starts_with('/'));
    let names = || process.env.iter().map(|one| one.split_once('=').map_or(one.as_str(), |(name, _)| name));
    assert_eq!(names().count(), names().collect::<std::collections::HashSet<_>>().len(), "{:?}", process.env);
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_kept_of_spec() {
        assert!(super::replay::replay("spec", super::spec) > 0);
    }
}
