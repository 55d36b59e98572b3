//! Why a profile cannot be compiled.

/// A profile that cannot be compiled, named for what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// Not JSON, or not of the shape of runtime-spec `linux.seccomp`.
    #[error("seccomp profile is not valid: {0}")]
    Shape(#[from] serde_json::Error),
    /// A value that has no meaning.
    #[error("seccomp profile: {what} {value:?}: {reason}")]
    Value {
        /// The field.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something valid that this program does not do.
    #[error("seccomp profile: {what} is not supported")]
    Unsupported {
        /// The feature.
        what: &'static str,
    },
    /// A bound against profiles that would cost the node too much.
    #[error("seccomp profile: {count} {what}, at most {most} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        count: usize,
        /// The bound.
        most: usize,
    },
}

impl SeccompError {
    pub(crate) fn value(what: &'static str, value: impl std::fmt::Display, reason: &'static str) -> Self {
        Self::Value { what, value: value.to_string(), reason }
    }
}

/// Result of compiling.
pub type Result<T> = std::result::Result<T, SeccompError>;
