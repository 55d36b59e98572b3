//! Resource limits, clamped to what the kernel allows without CAP_SYS_RESOURCE.

use crate::error::{StepResult, failed};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn limit(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
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
            let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
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
