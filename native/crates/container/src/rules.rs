//! Device rules and nodes: the spec's, and those every container has. PURE.

use crate::error::{StepError, StepResult};
use crate::report::FoundDevice;
use crate::spec::{Device, DeviceRuleSpec, Linux, Spec};
use podwright_cgroups::devices::{Access, DeviceKind, DeviceRule};

/// A set of accesses by its letters; none means all.
///
/// # Errors
/// A letter that is none of `rwm`.
pub(crate) fn access(letters: &str) -> StepResult<Access> {
    Access::parse(letters)
        .ok_or_else(|| StepError::invalid("read device access", letters, "it may have the letters r, w and m only"))
}

/// The rules in order; none at all when the spec has none (the cgroup stays as it is).
///
/// # Errors
/// A rule that cannot be read.
pub(crate) fn rules(spec: &Spec) -> StepResult<Vec<DeviceRule>> {
    let list = spec.linux.resources.as_ref().map_or(&[][..], |r| &r.devices);
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let mut rules = list.iter().map(rule).collect::<StepResult<Vec<_>>>()?;
    let allows_all = rules.last().is_some_and(|r| r.allow && r.kind == DeviceKind::All);
    if !allows_all {
        rules.extend(standard());
    }
    Ok(rules)
}

fn rule(spec: &DeviceRuleSpec) -> StepResult<DeviceRule> {
    let kind = match spec.kind.as_str() {
        "" | "a" => DeviceKind::All,
        "c" | "u" => DeviceKind::Char,
        "b" => DeviceKind::Block,
        other => return Err(StepError::invalid("read device rule", other, "its type is none of a, b and c")),
    };
    let number = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok()); // −1 is every one
    let (major, minor) = (number(spec.major), number(spec.minor));
    Ok(DeviceRule { allow: spec.allow, kind, major, minor, access: access(&spec.access)? })
}

/// What every container may do: make nodes of any kind, and use the standard devices.
fn standard() -> Vec<DeviceRule> {
    let make = Access { mknod: true, ..Access::default() };
    let any = |kind| DeviceRule { allow: true, kind, major: None, minor: None, access: make };
    let one = |major, minor| DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(major),
        minor,
        access: Access::ALL,
    };
    vec![
        any(DeviceKind::Char),
        any(DeviceKind::Block),
        one(1, Some(3)), // null
        one(1, Some(5)), // zero
        one(1, Some(7)), // full
        one(1, Some(8)), // random
        one(1, Some(9)), // urandom
        one(5, Some(0)), // tty
        one(5, Some(1)), // console
        one(5, Some(2)), // ptmx
        one(136, None),  // pts
    ]
}

/// The rule that lets a found device be used as it was asked for.
///
/// # Errors
/// An access that cannot be read.
pub(crate) fn of_found(device: &FoundDevice) -> StepResult<DeviceRule> {
    let kind = if device.block { DeviceKind::Block } else { DeviceKind::Char };
    let (major, minor) = (Some(device.major), Some(device.minor));
    Ok(DeviceRule { allow: true, kind, major, minor, access: access(&device.access)? })
}

/// The device nodes every container has (runtime-spec, config-linux), then the spec's, which win.
pub(crate) fn nodes(linux: &Linux) -> Vec<Device> {
    let standard = [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    let node = |(name, major, minor): (&str, u32, u32)| Device {
        path: format!("/dev/{name}"),
        kind: "c".into(),
        major,
        minor,
        file_mode: Some(0o666),
        ..Device::default()
    };
    let own = |path: &str| linux.devices.iter().any(|d| crate::steps::clean(&d.path) == path);
    let mut list: Vec<Device> = standard.into_iter().map(node).filter(|d| !own(&d.path)).collect();
    list.extend(linux.devices.iter().cloned());
    list
}
