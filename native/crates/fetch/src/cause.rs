//! Why a blob was not got or unpacked. No variant holds a credential, a query string or a header.

use podwright_rootfs::UnpackError;
use podwright_sys::errno::SysError;
use std::fmt;
use std::io;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The server answered with a status that is no success.
    #[error("http status {status}{}", retry_text(*.retry_after))]
    Http {
        /// The status.
        status: u16,
        /// Seconds it asked to wait.
        retry_after: Option<u64>,
    },
    /// The server or a proxy does not speak HTTP as it should.
    #[error("http: {0}")]
    Protocol(String),
    /// The connection ended before the blob did.
    #[error("the connection ended after {got} of {expected} bytes")]
    CutOff {
        /// Bytes got.
        got: u64,
        /// Bytes there should have been.
        expected: u64,
    },
    /// Certificates, ours or theirs.
    #[error("tls: {0}")]
    Tls(String),
    /// The name could not be resolved.
    #[error("resolve the host's name: {0}")]
    Dns(String),
    /// No connection, or it broke.
    #[error("connection: {0}")]
    Connect(#[source] io::Error),
    /// Nothing happened for too long.
    #[error("timed out ({0})")]
    Timeout(&'static str),
    /// The bytes are not the ones asked for.
    #[error("{what} mismatch: got {got}, expected {expected}")]
    Mismatch {
        /// `digest`, `diff id` or `size`.
        what: &'static str,
        /// What came.
        got: String,
        /// What was asked for.
        expected: String,
    },
    /// The compressed stream is damaged.
    #[error("inflate: {0}")]
    Inflate(String),
    /// The layer's tar cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// More than the caller allows.
    #[error("layer too large: more than {max} {what}")]
    TooLarge {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// An unpacked layer of ours is not what it was.
    #[error("{0}")]
    Layer(String),
    /// The caller changed its mind.
    #[error("cancelled")]
    Cancelled,
    /// Our own disk.
    #[error(transparent)]
    Disk(#[from] SysError),
    /// The archive is not what it should be.
    #[error("archive: {0}")]
    Archive(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Request(&'static str),
    /// Another stage of the pipeline failed: never the cause that is reported.
    #[error("another stage failed")]
    OtherStage,
}

impl From<io::Error> for Cause {
    /// A failure of an encoder in memory, or of what it writes to.
    fn from(e: io::Error) -> Self {
        Self::Disk(SysError::from_io("write", "write", &e, ""))
    }
}

impl Cause {
    /// The stage's name at the boundary (`FetchStage` in boundary.ts).
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Http { .. } | Self::Protocol(_) | Self::CutOff { .. } => "http",
            Self::Tls(_) => "tls",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Timeout(_) => "timeout",
            Self::Mismatch { .. } => "digest",
            Self::Inflate(_) => "inflate",
            Self::Unpack(UnpackError::LayerTooLarge { .. }) | Self::TooLarge { .. } => "limit",
            // no thread: the caller tells that from a disk that is in trouble
            Self::Unpack(UnpackError::Disk(e)) | Self::Disk(e) if e.syscall == "clone" => "clone",
            Self::Unpack(UnpackError::Disk(_)) | Self::Disk(_) => "disk",
            Self::Unpack(_) => "tar",
            Self::Cancelled | Self::OtherStage => "cancel",
            Self::Archive(_) => "archive",
            Self::Layer(_) => "layer",
            Self::Request(_) => "request",
        }
    }

    /// The HTTP status, or the errno of `connect` and `disk`; 0 elsewhere.
    pub fn code(&self) -> i32 {
        match self {
            Self::Http { status, .. } => i32::from(*status),
            Self::Connect(e) => e.raw_os_error().unwrap_or(0),
            Self::Disk(e) | Self::Unpack(UnpackError::Disk(e)) => e.errno,
            _ => 0,
        }
    }

    /// Whether the same request may well succeed soon.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Http { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::CutOff { .. } | Self::Connect(_) | Self::Timeout(_) | Self::Dns(_) => true,
            _ => false,
        }
    }
}

fn retry_text(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |s| format!(" (retry after {s} s)"))
}

/// A failed fetch, naming what was fetched and from where.
#[derive(Debug)]
pub struct FetchError {
    /// `fetch layer`, `fetch blob`, `unpack layer`, …
    pub operation: &'static str,
    /// The digest, or the archive's path.
    pub object: String,
    /// `host:port` or the archive; empty if none.
    pub from: String,
    /// What went wrong.
    pub cause: Box<Cause>,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.object)?;
        if !self.from.is_empty() {
            write!(f, " from {}", self.from)?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause.as_ref())
    }
}
