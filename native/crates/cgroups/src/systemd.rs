//! Scopes of systemd: what was made under one of its slices is made known to it, so that it counts, shows and
//! never touches it (systemd.resource-control(5), org.freedesktop.systemd1(5)). Over D-Bus, to process 1 itself.
//!
//! The cgroup comes first, with its limits and its process; then systemd is told: `start_scope` finds the cgroup
//! there and takes it over. Limits are told as properties, because systemd writes its own idea of them into the
//! files whenever it likes (daemon-reload).

mod bus;
mod limits;
mod message;

use crate::detect::{Layout, Version, check_path};
use crate::error::{CgroupError, Result};
use crate::group;
use crate::resources::Resources;
use bus::Bus;
use limits::Limits;
use message::{Body, Reader, Value};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where process 1 listens: its own socket for root, and the system bus.
const SOCKETS: [&str; 2] = ["/run/systemd/private", "/run/dbus/system_bus_socket"];
/// There when systemd is process 1 (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// How long one call may take. systemd answers within milliseconds unless it reloads.
const LIMIT: Duration = Duration::from_secs(20);

/// For what is only waited for: ten years.
const UNBOUNDED: Duration = Duration::from_secs(10 * 365 * 86_400);
/// How long a scope that has emptied may take until its name is free.
const ENDING_LIMIT: Duration = Duration::from_secs(10);
const ENDING_PAUSE: Duration = Duration::from_millis(20);

const NO_UNIT_FOR_PID: &str = "org.freedesktop.systemd1.NoUnitForPID";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";

/// Whether this host's cgroups can be left to systemd: it is process 1, and the unified tree has the controllers.
pub fn is_usable(layout: &Layout) -> bool {
    layout.version == Version::V2 && Path::new(BOOTED).is_dir()
}

/// A scope by the path of its cgroup: `/a.slice/a-b.slice/name.scope`.
#[derive(Debug, PartialEq, Eq)]
struct Scope<'p> {
    path: &'p str,
    unit: &'p str,
    slice: &'p str,
}

impl<'p> Scope<'p> {
    fn of(path: &'p str) -> Result<Self> {
        check_path(path)?;
        let mut names = path.rsplit('/');
        match (names.next(), names.next()) {
            (Some(unit), Some(slice)) if unit.ends_with(".scope") && slice.ends_with(".slice") => {
                Ok(Self { path, unit, slice })
            }
            _ => Err(CgroupError::Path { path: path.into(), reason: "is not a scope in a slice" }),
        }
    }
}

/// Makes the scope of a cgroup that is there, with a process in it, and tells its limits. One that systemd has
/// already is kept.
pub fn start_scope(layout: &Layout, path: &str, pid: i32, description: &str) -> Result<()> {
    let scope = Scope::of(path)?;
    let limits = Limits::read(layout, path)?;
    tell(&limits, |properties| start(&scope, pid, description, properties))?;
    limits.restore(layout, path)
}

/// Tells limits by `call`. systemd older than 252 takes no weight of 0, which is that of an idle cgroup, and leaves idleness
/// alone; a later one would end it without that weight.
fn tell(limits: &Limits, mut call: impl FnMut(Vec<(&'static str, Value)>) -> Result<()>) -> Result<()> {
    match call(limits.properties()) {
        Err(CgroupError::Systemd { name, .. }) if name == INVALID_ARGS && limits.is_idle() => {
            call(limits.properties().into_iter().filter(|(name, _)| *name != limits::WEIGHT).collect())
        }
        other => other,
    }
}

fn start(scope: &Scope<'_>, pid: i32, description: &str, limits: Vec<(&'static str, Value)>) -> Result<()> {
    let mut properties = vec![
        ("Description", Value::Text(description.into())),
        ("Slice", Value::Text(scope.slice.into())),
        ("PIDs", Value::Numbers(vec![pid.unsigned_abs()])),
        // what is in it is ours alone
        ("Delegate", Value::Flag(true)),
        // no order against shutdown.target: containers are stopped by the kubelet
        ("DefaultDependencies", Value::Flag(false)),
        ("CollectMode", Value::Text("inactive-or-failed".into())),
        ("CPUAccounting", Value::Flag(true)),
        ("MemoryAccounting", Value::Flag(true)),
        ("TasksAccounting", Value::Flag(true)),
        ("IOAccounting", Value::Flag(true)),
    ];
    properties.extend(limits);
    let body = Body::new().text(scope.unit).text("replace").properties(&properties).no_more_units();
    let mut bus = Bus::open(&SOCKETS, LIMIT)?;
    let end = Instant::now() + ENDING_LIMIT;
    loop {
        match bus.job("StartTransientUnit", body.clone(), scope.unit) {
            Err(CgroupError::Systemd { name, .. }) if name == UNIT_EXISTS && has(&mut bus, scope.unit, pid)? => break,
            // a scope of that name that has emptied is on its way out; what is in the cgroup now would belong to nobody
            Err(CgroupError::Systemd { name, .. }) if name == UNIT_EXISTS && Instant::now() < end => {
                std::thread::sleep(ENDING_PAUSE);
            }
            other => return other,
        }
    }
    Ok(())
}

/// Whether a process belongs to this unit, as systemd sees it: one that has ended has no processes.
fn has(bus: &mut Bus, unit: &str, pid: i32) -> Result<bool> {
    match bus.call("GetUnitByPID", Body::new().number(pid.unsigned_abs()), unit) {
        Ok(answer) => Ok(Reader::new(&answer.body).text().is_some_and(|path| path == object_path(unit))),
        Err(CgroupError::Systemd { name, .. }) if name == NO_UNIT_FOR_PID => Ok(false),
        Err(e) => Err(e),
    }
}

/// The D-Bus object of a unit: all but letters and digits, and a digit at the front, as `_` and two hex digits.
fn object_path(unit: &str) -> String {
    let escaped = unit.bytes().enumerate().map(|(at, byte)| match byte {
        b'0'..=b'9' if at > 0 => char::from(byte).to_string(),
        b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("_{other:02x}"),
    });
    format!("/org/freedesktop/systemd1/unit/{}", escaped.collect::<String>())
}

/// Changes limits of a scope, in its files and for systemd, all or none; answers what the kernel then has.
pub fn update_scope(layout: &Layout, path: &str, resources: &Resources) -> Result<Resources> {
    let tell = || tell_limits(layout, path);
    told_what_stays(group::update_if(layout, path, resources, tell), tell)?;
    // files that systemd was not told of have its own values now
    told_what_stays(group::update(layout, path, resources), tell)
}

/// A memory limit that could not be taken back is one that systemd may not know: with its next daemon-reload it would write
/// the old one, which kills. It is told once more; the update has failed whatever it says.
fn told_what_stays(updated: Result<Resources>, tell: impl FnOnce() -> Result<()>) -> Result<Resources> {
    if matches!(updated, Err(CgroupError::LimitStays { .. })) {
        let _best_effort = tell();
    }
    updated
}

/// Waits, without end, until systemd has read its units again: it writes its own values then into files that it was not
/// told of. A connection that ends counts as that: so does `daemon-reexec`.
pub fn wait_for_reload() -> Result<()> {
    let mut bus = Bus::open(&SOCKETS, UNBOUNDED)?;
    match bus.reload() {
        Err(CgroupError::Systemd { name, .. }) if name == bus::CLOSED => Ok(()),
        other => other,
    }
}

/// Tells systemd the limits that a scope's files have now; nothing for a scope that it does not have.
fn tell_limits(layout: &Layout, path: &str) -> Result<()> {
    let scope = Scope::of(path)?;
    let limits = Limits::read(layout, path)?;
    tell(&limits, |properties| {
        // runtime: true, nothing is written to disk
        let body = Body::new().text(scope.unit).flag(true).properties(&properties);
        match Bus::open(&SOCKETS, LIMIT)?.call("SetUnitProperties", body, scope.unit) {
            Err(CgroupError::Systemd { name, .. }) if name == NO_SUCH_UNIT => Ok(()),
            other => other.map(drop),
        }
    })?;
    limits.restore(layout, path)
}

/// Ends units by the last name of their cgroups: scopes, and slices of ours. One that systemd does not have is no
/// error. Their processes must be gone: what is left is asked to end by SIGTERM.
pub fn stop_unit(path: &str) -> Result<()> {
    check_path(path)?;
    let unit = path.rsplit('/').next().unwrap_or_default();
    if !unit.ends_with(".scope") && !unit.ends_with(".slice") {
        return Err(CgroupError::Path { path: path.into(), reason: "is neither a scope nor a slice" });
    }
    match Bus::open(&SOCKETS, LIMIT)?.job("StopUnit", Body::new().text(unit).text("replace"), unit) {
        Err(CgroupError::Systemd { name, .. }) if name == NO_SUCH_UNIT => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_objects() {
        let path = object_path("podwright-0a.scope");
        assert_eq!(path, "/org/freedesktop/systemd1/unit/podwright_2d0a_2escope");
        assert_eq!(object_path("0a"), "/org/freedesktop/systemd1/unit/_30a");
    }

    #[test]
    fn a_systemd_that_knows_no_idleness_is_told_the_rest() {
        let refused = |name: &str| {
            let (unit, message) = (String::new(), String::new());
            Err(CgroupError::Systemd { call: "SetUnitProperties", unit, name: name.into(), message })
        };
        let told = |weight: &str, takes_zero: bool, error: &str| {
            let limits = Limits::of_files(&[("cpu.weight", weight), ("pids.max", "5")]);
            let mut calls = Vec::new();
            let done = tell(&limits, |properties| {
                let names: Vec<_> = properties.iter().map(|(name, _)| *name).collect();
                calls.push(names.join(" "));
                if takes_zero || !names.contains(&limits::WEIGHT) { Ok(()) } else { refused(error) }
            });
            (done.is_ok(), calls)
        };
        let (all, rest) = ("CPUWeight TasksMax".to_owned(), "TasksMax".to_owned());
        assert_eq!(told("0", true, INVALID_ARGS), (true, vec![all.clone()]));
        assert_eq!(told("0", false, INVALID_ARGS), (true, vec![all.clone(), rest]));
        assert_eq!(told("0", false, "another"), (false, vec![all.clone()]));
        assert_eq!(told("59", false, INVALID_ARGS), (false, vec![all]));
    }

    #[test]
    fn systemd_is_told_of_a_limit_that_stays() {
        let refused = || CgroupError::NoCgroups("refused");
        let stays = || CgroupError::LimitStays { cause: refused().into(), why: refused().into() };
        for (updated, expected) in [(Err(stays()), 1), (Err(refused()), 0), (Ok(Resources::default()), 0)] {
            let (fine, mut told) = (updated.is_ok(), 0);
            let after = told_what_stays(updated, || {
                told += 1;
                Err(CgroupError::NoCgroups("systemd does not answer"))
            });
            assert_eq!((after.is_ok(), told), (fine, expected));
            assert!(after.map_err(|e| e.to_string()).err().is_none_or(|e| !e.contains("systemd")));
        }
    }

    #[test]
    fn scopes_are_told_by_their_paths() -> Result<()> {
        let scope = Scope::of("/kubepods.slice/kubepods-pod1.slice/podwright-a.scope")?;
        assert_eq!((scope.unit, scope.slice), ("podwright-a.scope", "kubepods-pod1.slice"));
        for bad in ["/a.slice", "/a/b.scope", "/a.slice/b", "/a.slice/../b.scope", "b.scope"] {
            assert!(Scope::of(bad).is_err(), "{bad}");
        }
        assert!(stop_unit("/a.slice/b").is_err());
        Ok(())
    }
}
