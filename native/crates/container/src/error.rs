//! Why a container could not be made or a process not started: stage, call, errno, object.

use podwright_sys::errno::SysError;
use rustix::io::Errno;

/// Whose fault it is: decides what the daemon answers its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The kernel or the host refused.
    Internal,
    /// The request or the bundle contradicts itself.
    Invalid,
    /// This kernel or this program cannot do it.
    Unsupported,
    /// An image volume cannot be mounted as asked.
    ImageVolume,
    /// A program or something that was captured earlier is not as this needs it.
    Refused,
}

/// A failed step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct StepError {
    /// Whose fault it is.
    pub kind: Kind,
    /// What was attempted ("mount /data").
    pub operation: String,
    /// The system call; empty when none failed.
    pub syscall: String,
    /// The positive errno, 0 when no call failed.
    pub errno: i32,
    /// The object: a path, a name.
    pub object: String,
    /// The whole message for people.
    pub detail: String,
}

/// What a step ends with.
pub type StepResult<T> = Result<T, StepError>;

impl StepError {
    /// Something the request or the bundle got wrong.
    pub fn invalid(operation: &str, object: &str, why: &str) -> Self {
        Self::without_call(Kind::Invalid, operation, object, why)
    }

    /// Something this program does not do.
    pub fn unsupported(operation: &str, object: &str, why: &str) -> Self {
        Self::without_call(Kind::Unsupported, operation, object, why)
    }

    /// A failure that no single system call made.
    pub fn without_call(kind: Kind, operation: &str, object: &str, why: &str) -> Self {
        let subject = if object.is_empty() { operation.to_owned() } else { format!("{operation} {object}") };
        Self {
            kind,
            operation: operation.into(),
            syscall: String::new(),
            errno: 0,
            object: object.into(),
            detail: format!("{subject}: {why}"),
        }
    }

    /// A message that stands for itself, as for a program that cannot be executed.
    pub fn message(operation: &str, errno: i32, object: &str, detail: String) -> Self {
        let syscall = if errno == 0 { "" } else { "execve" };
        Self {
            kind: Kind::Internal,
            operation: operation.into(),
            syscall: syscall.into(),
            errno,
            object: object.into(),
            detail,
        }
    }
}

impl From<SysError> for StepError {
    fn from(e: SysError) -> Self {
        let detail = e.to_string();
        Self {
            kind: Kind::Internal,
            operation: e.operation.into(),
            syscall: e.syscall.into(),
            errno: e.errno,
            object: e.object,
            detail,
        }
    }
}

/// Makes the error of a failed call: for `map_err` after rustix calls.
pub fn failed(
    operation: &'static str,
    syscall: &'static str,
    object: impl Into<String>,
) -> impl FnOnce(Errno) -> StepError {
    let object = object.into();
    move |errno| SysError::new(operation, syscall, errno.raw_os_error(), object).into()
}

/// The same for `std::io` calls.
pub fn io_failed(
    operation: &'static str,
    syscall: &'static str,
    object: impl Into<String>,
) -> impl FnOnce(std::io::Error) -> StepError {
    let object = object.into();
    move |error| SysError::from_io(operation, syscall, &error, object).into()
}
