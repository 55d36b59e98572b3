//! How a failure crosses the boundary: as a value, because an exception made by Neon
//! carries only a message. `src/native/load.ts` turns `err` into a `NativeError`.

use podwright_sys::errno::SysError;
use serde::Serialize;

/// A failure as JavaScript sees it (`NativeFailure` in boundary.ts).
#[derive(Debug, Serialize)]
pub(crate) struct NativeFailure {
    /// What was attempted.
    pub(crate) operation: String,
    /// The system call, or the stage where there is none.
    pub(crate) syscall: String,
    /// The errno, 0 where the failure is not a system call's.
    pub(crate) errno: i32,
    /// The object worked on.
    pub(crate) object: String,
    /// The whole message.
    pub(crate) message: String,
}

impl From<SysError> for NativeFailure {
    fn from(e: SysError) -> Self {
        let message = e.to_string();
        Self { operation: e.operation.into(), syscall: e.syscall.into(), errno: e.errno, object: e.object, message }
    }
}

/// `{ok}` or `{err}`: what every export returns.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome<T> {
    /// It was done.
    Ok(T),
    /// It failed.
    Err(NativeFailure),
}

impl<T, E: Into<NativeFailure>> From<Result<T, E>> for Outcome<T> {
    fn from(r: Result<T, E>) -> Self {
        match r {
            Ok(v) => Self::Ok(v),
            Err(e) => Self::Err(e.into()),
        }
    }
}
