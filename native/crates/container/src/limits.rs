//! Resource limits, clamped to what the kernel allows without CAP_SYS_RESOURCE.

use crate::error::{StepResult, failed};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn limit(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
}

/// The most a process of ours may set a limit to: what it has itself, without CAP_SYS_RESOURCE.
pub fn ceiling(resource: Resource) -> u64 {
    getrlimit(resource).maximum.unwrap_or(u64::MAX)
}

/// Sets one limit. A hard limit above the present one may be refused: then the present one is
/// taken, and the answer says so.
///
/// # Errors
/// The errno of setrlimit, other than the refusal.
pub(crate) fn set(resource: Resource, soft: u64, hard: u64) -> StepResult<Option<String>> {
    let name = format!("{resource:?}");
    match setrlimit(resource, Rlimit { current: limit(soft), maximum: limit(hard) }) {
        Ok(()) => Ok(None),
        Err(Errno::PERM) => {
            let ceiling = ceiling(resource);
            let (soft, clamped) = (soft.min(ceiling), hard.min(ceiling));
            setrlimit(resource, Rlimit { current: limit(soft), maximum: limit(clamped) }).map_err(failed(
                "set limit",
                "setrlimit",
                &name,
            ))?;
            Ok(Some(format!("rlimit {name} hard {hard} clamped to {clamped}: no CAP_SYS_RESOURCE")))
        }
        Err(e) => Err(failed("set limit", "setrlimit", name)(e)),
    }
}

/// Raises a hard limit to what will be set later without the right to raise it. The soft one stays, so that nothing
/// changes before.
///
/// # Errors
/// The errno of setrlimit, other than the refusal, which is noted.
pub(crate) fn make_room(resource: Resource, hard: u64) -> StepResult<Option<String>> {
    let now = getrlimit(resource);
    if now.maximum.is_none_or(|maximum| hard <= maximum) {
        return Ok(None);
    }
    let name = format!("{resource:?}");
    match setrlimit(resource, Rlimit { current: now.current, maximum: limit(hard) }) {
        Ok(()) => Ok(None),
        Err(Errno::PERM) => {
            let ceiling = now.maximum.unwrap_or(u64::MAX);
            Ok(Some(format!("rlimit {name} hard {hard} clamped to {ceiling}: no CAP_SYS_RESOURCE")))
        }
        Err(e) => Err(failed("set limit", "setrlimit", name)(e)),
    }
}
