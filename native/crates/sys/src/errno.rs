//! A failed kernel call as a value: what was attempted, which call, on what, and the errno.

use std::fmt;

/// A failed system call: enough to name the stage, the object and the errno in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysError {
    /// What was attempted, in words ("create veth").
    pub operation: &'static str,
    /// The system call or netlink message that failed ("mount", "RTM_NEWLINK").
    pub syscall: &'static str,
    /// The positive errno.
    pub errno: i32,
    /// The object: a path, an interface name; empty when there is none.
    pub object: String,
}

impl SysError {
    /// Makes an error from a raw errno.
    pub fn new(operation: &'static str, syscall: &'static str, errno: i32, object: impl Into<String>) -> Self {
        Self { operation, syscall, errno, object: object.into() }
    }

    /// Makes an error from `std::io::Error`; an error without errno becomes EIO.
    pub fn from_io(
        operation: &'static str,
        syscall: &'static str,
        error: &std::io::Error,
        object: impl Into<String>,
    ) -> Self {
        Self::new(operation, syscall, error.raw_os_error().unwrap_or(libc::EIO), object)
    }

    /// The errno's text from strerror(3).
    pub fn reason(&self) -> String {
        let text = std::io::Error::from_raw_os_error(self.errno).to_string();
        match text.find(" (os error") {
            Some(end) => text[..end].to_lowercase(),
            None => text.to_lowercase(),
        }
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if !self.object.is_empty() {
            write!(f, " {}", self.object)?;
        }
        write!(f, ": {}: {} (errno {})", self.syscall, self.reason(), self.errno)
    }
}

impl std::error::Error for SysError {}

/// Result of a kernel call.
pub type SysResult<T> = Result<T, SysError>;
