//! Why a checkpoint could not be made or read.

use podwright_sys::errno::SysError;

/// A failed checkpoint or restore: the variant says whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CriuError {
    /// There is no such program.
    #[error("{program} is not installed (Debian: apt install criu)")]
    Missing {
        /// The program's name or path.
        program: String,
    },
    /// criu refused, in its own words.
    #[error("criu cannot {operation} {object}: {reason}")]
    Refused {
        /// "dump" or "restore".
        operation: &'static str,
        /// Which container.
        object: String,
        /// The last errors of its log.
        reason: String,
    },
    /// The place of the checkpoint is not as it must be.
    #[error("{path} {reason}")]
    Place {
        /// The path of the request.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The caller no longer wants it, or the time is over.
    #[error("the checkpoint was given up while it was to {doing}")]
    GivenUp {
        /// What was under way.
        doing: String,
    },
    /// A command runs in a container, which would not be captured.
    #[error("container {container} has a running command, which cannot be captured: {process}")]
    Beside {
        /// Which.
        container: String,
        /// The command's process.
        process: String,
    },
    /// A container could not be frozen in time.
    #[error("container {container} could not be frozen in {seconds} s")]
    NotFrozen {
        /// Which.
        container: String,
        /// The limit.
        seconds: u64,
    },
    /// What a checkpoint holds cannot be read.
    #[error("the checkpoint's {name} {reason}")]
    Damaged {
        /// Which file of it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel refused a call.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// What a step ends with.
pub type CriuResult<T> = Result<T, CriuError>;

/// Makes the error of a failed call: for `map_err` after rustix calls.
pub fn failed(
    operation: &'static str,
    syscall: &'static str,
    object: impl Into<String>,
) -> impl FnOnce(rustix::io::Errno) -> CriuError {
    let object = object.into();
    move |errno| CriuError::Sys(SysError::new(operation, syscall, errno.raw_os_error(), object))
}

/// The same for `std::io` calls.
pub fn io_failed(
    operation: &'static str,
    syscall: &'static str,
    object: impl Into<String>,
) -> impl FnOnce(std::io::Error) -> CriuError {
    let object = object.into();
    move |error| CriuError::Sys(SysError::from_io(operation, syscall, &error, object))
}
