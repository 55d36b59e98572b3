//! `SCMP_ACT_*` as the value a filter returns (linux/seccomp.h).

use crate::error::{Result, SeccompError};

/// Ends the thread: for calls of an architecture the profile does not list.
pub const KILL_THREAD: u32 = 0;
/// Runs the call.
pub const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
/// The largest errno the kernel hands out; it cuts a larger one down to this.
const MOST_ERRNO: u32 = 4095;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// "No such system call", for calls newer than the profile.
pub const UNKNOWN_CALL: u32 = ERRNO | ENOSYS;

/// The return value of an action. Without an errno those that have one give EPERM (runtime-spec).
pub fn value(action: &str, errno: Option<u32>) -> Result<u32> {
    let data = || match errno.unwrap_or(EPERM) {
        n if n <= MOST_ERRNO => Ok(n),
        n => Err(SeccompError::value("errnoRet", n, "is not an errno")),
    };
    Ok(match action {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        "SCMP_ACT_TRAP" => TRAP,
        "SCMP_ACT_ERRNO" => ERRNO | data()?,
        "SCMP_ACT_TRACE" => TRACE | data()?,
        "SCMP_ACT_LOG" => LOG,
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_NOTIFY" => return Err(SeccompError::Unsupported { what: "SCMP_ACT_NOTIFY" }),
        _ => return Err(SeccompError::value("action", action, "is unknown")),
    })
}

/// Whether a call that gets this value runs, or may: a tracer decides for itself.
pub fn lets_through(value: u32) -> bool {
    matches!(value & 0xffff_0000, ALLOW | LOG | TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_return_values() -> Result<()> {
        assert_eq!(value("SCMP_ACT_ERRNO", None)?, 0x0005_0001);
        assert_eq!(value("SCMP_ACT_ERRNO", Some(38))?, UNKNOWN_CALL);
        assert_eq!(value("SCMP_ACT_ERRNO", Some(0))?, 0x0005_0000);
        assert_eq!(value("SCMP_ACT_ALLOW", Some(9))?, ALLOW);
        assert!(value("SCMP_ACT_ERRNO", Some(4096)).is_err());
        assert!(value("SCMP_ACT_NOTIFY", None).is_err());
        assert!(value("ALLOW", None).is_err());
        assert!(lets_through(value("SCMP_ACT_TRACE", Some(5))?) && !lets_through(KILL_PROCESS));
        Ok(())
    }
}
