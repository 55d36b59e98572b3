//! Cgroups: each export is one function of the `podwright-cgroups` crate.

use crate::error::{NativeFailure, Outcome};
use crate::long_work::{on_thread, settle_bytes};
use neon::prelude::*;
use neon::types::extract::Json;
use podwright_cgroups::delegate::{self, Bounds};
use podwright_cgroups::stats::{Clock, Stats, StatsReader};
use podwright_cgroups::tasks::{self, Tasks};
use podwright_cgroups::{CgroupError, Facts, Layout, Place, Resources, Version, group, join, systemd};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a kill waits for the last process to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Descriptors kept for reading usage: six to eighteen a container. The hard limit of a process can be
/// as low as 20,000 for everything.
const MOST_OPEN: usize = 4096;

static LAYOUT: OnceLock<Layout> = OnceLock::new();
static READER: Mutex<Option<StatsReader>> = Mutex::new(None);

impl From<CgroupError> for NativeFailure {
    /// `syscall` names the stage where no call failed: `src/cgroup/cgroup.ts` has a table of them.
    fn from(e: CgroupError) -> Self {
        let (message, errno) = (e.to_string(), e.errno());
        let (stage, object) = match e {
            CgroupError::Sys(sys) => return sys.into(),
            // the kind is that of what failed
            CgroupError::LimitStays { cause, .. } => return Self { message, ..Self::from(*cause) },
            CgroupError::NoCgroups(_) => ("no-cgroups", String::new()),
            CgroupError::Path { path, .. } => ("cgroup-path", path),
            CgroupError::Value { field, .. } => ("resource-value", field.to_owned()),
            CgroupError::MemoryBelowUsage { path, .. } => ("memory-below-usage", path),
            CgroupError::UnifiedKey { key, .. } => ("unified-key", key),
            CgroupError::NoController { controller, .. } => ("no-controller", controller.to_owned()),
            CgroupError::Systemd { unit, .. } => ("systemd", unit),
            CgroupError::StillPopulated { path, .. } => ("still-populated", path),
        };
        Self { operation: "cgroup".into(), syscall: stage.into(), errno, object, message }
    }
}

fn layout() -> Result<&'static Layout, CgroupError> {
    match LAYOUT.get() {
        Some(layout) => Ok(layout),
        None => Layout::detect().map(|found| LAYOUT.get_or_init(|| found)),
    }
}

/// The reader is only a cache: what a panic left of it is used on.
fn reader() -> MutexGuard<'static, Option<StatsReader>> {
    READER.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Serialize)]
struct Detected {
    version: Version,
    /// Whether systemd can have them.
    systemd: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScopeArgs {
    path: String,
    pid: i32,
    description: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PathArgs {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PathsArgs {
    paths: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UsageArgs {
    containers: Vec<String>,
    pods: Vec<String>,
    /// Unix nanoseconds: too many for a number of JavaScript.
    now: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TasksArgs {
    groups: Vec<TasksOf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TasksOf {
    path: String,
    main_pid: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateArgs {
    path: String,
    resources: Option<Resources>,
    /// The processes may divide it; none: they may not.
    #[serde(default)]
    delegated: Option<Bounds>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MemberArgs {
    path: String,
    pid: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RejoinArgs {
    dirs: Vec<PathBuf>,
    pid: i32,
}

#[derive(Serialize)]
struct Created {
    facts: Facts,
    actual: Resources,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateArgs {
    path: String,
    resources: Resources,
}

/// What this host has; cheap after the first call.
#[neon::export]
fn cgroup_detect() -> Json<Outcome<Detected>> {
    Json(layout().map(|l| Detected { version: l.version, systemd: systemd::is_usable(l) }).into())
}

/// Makes a cgroup in every hierarchy and applies limits; undone on failure.
#[neon::export(task)]
fn cgroup_create(Json(args): Json<CreateArgs>) -> Json<Outcome<Created>> {
    let made = layout().and_then(|l| match args.delegated {
        None => group::create(l, &args.path, args.resources.as_ref()),
        Some(bounds) => group::create_delegated(l, &args.path, args.resources.as_ref(), bounds),
    });
    Json(made.map(|(facts, actual)| Created { facts, actual }).into())
}

/// Hands the controllers of a delegated cgroup on, once its process is there.
#[neon::export(task)]
fn cgroup_hand_on(Json(args): Json<MemberArgs>) -> Json<Outcome<()>> {
    Json(layout().and_then(|l| delegate::settle(l, &args.path, args.pid)).into())
}

/// Changes limits, all or none; answers what the kernel then has.
#[neon::export(task)]
fn cgroup_update(Json(args): Json<UpdateArgs>) -> Json<Outcome<Resources>> {
    Json(layout().and_then(|l| group::update(l, &args.path, &args.resources)).into())
}

/// Makes the systemd scope of a cgroup that is there, with a process in it; one that is there is kept.
/// On a thread of its own: process 1 may take its time, and file work shall not wait for that.
#[neon::export]
fn systemd_start_scope<'cx>(cx: &mut Cx<'cx>, Json(args): Json<ScopeArgs>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "systemd", move || {
        layout().and_then(|l| systemd::start_scope(l, &args.path, args.pid, &args.description))
    })
}

/// Changes limits of a scope, in its files and for systemd, all or none; answers what the kernel then has.
#[neon::export]
fn systemd_update<'cx>(cx: &mut Cx<'cx>, Json(args): Json<UpdateArgs>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "systemd", move || layout().and_then(|l| systemd::update_scope(l, &args.path, &args.resources)))
}

/// Settles when systemd has read its units again.
#[neon::export]
fn systemd_reloaded<'cx>(cx: &mut Cx<'cx>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "reloads", systemd::wait_for_reload)
}

/// Ends the units of cgroups, in order; those that systemd does not have are no error.
#[neon::export]
fn systemd_stop_units<'cx>(cx: &mut Cx<'cx>, Json(args): Json<PathsArgs>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "systemd", move || args.paths.iter().try_fold((), |(), path| systemd::stop_unit(path)))
}

/// The limits the kernel has.
#[neon::export(task)]
fn cgroup_read(Json(args): Json<PathArgs>) -> Json<Outcome<Resources>> {
    Json(layout().and_then(|l| group::read(l, &args.path)).into())
}

/// Removes cgroups with all below them; goes on after a failure and reports the first. On a thread of its
/// own, as a kill is: who was killed may take seconds to be gone, and file work shall not wait for that.
#[neon::export]
fn cgroup_remove<'cx>(cx: &mut Cx<'cx>, Json(args): Json<PathsArgs>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "cgroups", move || {
        let layout = layout()?;
        let mut first = Ok(());
        for path in &args.paths {
            if let Some(reader) = reader().as_mut() {
                reader.forget(path);
            }
            first = first.and(group::remove(layout, path));
        }
        first
    })
}

/// SIGKILL to every process until none is left.
#[neon::export]
fn cgroup_kill<'cx>(cx: &mut Cx<'cx>, Json(args): Json<PathArgs>) -> JsResult<'cx, JsPromise> {
    on_thread(cx, "cgroups", move || layout().and_then(|l| group::kill(l, &args.path, KILL_LIMIT)))
}

/// Every process in a cgroup and below.
#[neon::export(task)]
fn cgroup_procs(Json(args): Json<PathArgs>) -> Json<Outcome<Vec<i32>>> {
    Json(layout().and_then(|l| group::procs(l, &args.path)).into())
}

/// Puts a process into a cgroup that is there: the directories where it was.
#[neon::export(task)]
fn cgroup_join(Json(args): Json<MemberArgs>) -> Json<Outcome<Vec<PathBuf>>> {
    Json(layout().and_then(|l| join::join(l, &args.path, args.pid)).into())
}

/// Puts a process back where `cgroup_join` found it.
#[neon::export(task)]
fn cgroup_rejoin(Json(args): Json<RejoinArgs>) -> Json<Outcome<()>> {
    Json(layout().and_then(|l| join::rejoin(l, &args.dirs, args.pid)).into())
}

/// All that is counted of many cgroups, in order; null for one that does not exist.
#[neon::export(task)]
fn cgroup_stats(Json(args): Json<PathsArgs>) -> Json<Outcome<Vec<Option<Stats>>>> {
    Json(with_reader(|reader| reader.read(&args.paths)).into())
}

/// What CRI reports of many cgroups, encoded for it (`StatsReader::usage`): an ArrayBuffer.
#[neon::export]
fn cgroup_usage<'cx>(cx: &mut Cx<'cx>, Json(args): Json<UsageArgs>) -> JsResult<'cx, JsPromise> {
    let since = Instant::now(); // `now` was read by the caller, and a busy pool may begin the work much later
    let read = move || {
        let no_time = |_| CgroupError::Value { field: "now", value: args.now.clone(), reason: "not in nanoseconds" };
        let now = args.now.parse().map_err(no_time)?;
        with_reader(|reader| reader.usage(&args.containers, &args.pods, Clock::set_to(now, since)))
    };
    Ok(cx.task(read).promise(|mut cx, read| settle_bytes(&mut cx, read)))
}

fn with_reader<T>(read: impl FnOnce(&mut StatsReader) -> Result<T, CgroupError>) -> Result<T, CgroupError> {
    let layout = layout()?;
    read(reader().get_or_insert_with(|| StatsReader::new(layout.clone(), MOST_OPEN)))
}

/// What runs in many cgroups, in order.
#[neon::export(task)]
fn cgroup_tasks(Json(args): Json<TasksArgs>) -> Json<Outcome<Vec<Tasks>>> {
    let groups: Vec<_> = args.groups.into_iter().map(|g| (g.path, g.main_pid)).collect();
    Json(layout().and_then(|l| tasks::tasks(l, &groups)).into())
}

/// Makes the cgroup if need be and says how a process is put there.
#[neon::export(task)]
fn cgroup_monitor_leaf(Json(args): Json<PathArgs>) -> Json<Outcome<Place>> {
    Json(layout().and_then(|l| group::place(l, &args.path)).into())
}
