//! What a spec may ask for and this runtime does not do: refused by name, never ignored. PURE.

use crate::error::{StepError, StepResult};
use crate::selinux;
use crate::spec::{Process, Spec};

/// Checks the whole spec.
///
/// # Errors
/// The first thing that is not carried out.
pub(crate) fn check(spec: &Spec) -> StepResult<()> {
    let linux = &spec.linux;
    let time_namespace = linux.namespaces.iter().any(|n| n.kind == "time");
    let table = [
        ("linux.personality", linux.personality.is_some()),
        ("linux.intelRdt", linux.intel_rdt.is_some()),
        ("linux.timeOffsets", time_namespace || linux.time_offsets.as_ref().is_some_and(|o| !o.is_empty())),
        ("linux.netDevices", linux.net_devices.as_ref().is_some_and(|d| !d.is_empty())),
    ];
    refuse(&table)?;
    selinux::check("linux.mountLabel", &linux.mount_label)?;
    spec.process.as_ref().map_or(Ok(()), check_process)
}

/// Checks a process, of a container or of an exec.
///
/// # Errors
/// The first thing that is not carried out.
pub(crate) fn check_process(process: &Process) -> StepResult<()> {
    selinux::check("process.selinuxLabel", &process.selinux_label)?;
    refuse(&[("process.scheduler", process.scheduler.is_some()), ("process.ioPriority", process.io_priority.is_some())])
}

fn refuse(table: &[(&str, bool)]) -> StepResult<()> {
    match table.iter().find(|(_, set)| *set) {
        Some((name, _)) => Err(StepError::unsupported("read", name, "it is not supported")),
        None => Ok(()),
    }
}
