//! Answers and failures in the protocol's words. PURE.

use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{Empty, Failure, response};
use podwright_sys::errno::SysError;
use rustix::io::Errno;

/// Who waits for an answer: a connection's key and the request's id there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    /// The connection.
    pub(crate) connection: u64,
    /// The request.
    pub(crate) id: u64,
}

/// What a call ends with.
pub(crate) type Answer = Result<response::Result, Box<Failure>>;

/// The answer of a call that has nothing to say.
pub(crate) fn done() -> Answer {
    Ok(response::Result::Empty(Empty {}))
}

/// A failure that no system call made.
pub(crate) fn failure(kind: Kind, operation: &str, object: &str, detail: impl Into<String>) -> Box<Failure> {
    Box::new(Failure {
        kind: kind.into(),
        operation: operation.into(),
        object: object.into(),
        detail: detail.into(),
        ..Failure::default()
    })
}

/// A failed system call.
pub(crate) fn sys_failure(error: &SysError) -> Box<Failure> {
    Box::new(Failure {
        kind: kind_of(error.errno).into(),
        operation: error.operation.into(),
        syscall: error.syscall.into(),
        errno: error.errno,
        object: error.object.clone(),
        detail: error.to_string(),
    })
}

/// The kind of a failed system call: having run out of descriptors is nobody's mistake.
pub(crate) fn kind_of(errno: i32) -> Kind {
    // 0 is no errno: a step can fail without a call
    let exhausted = [Errno::MFILE, Errno::NFILE].iter().any(|each| each.raw_os_error() == errno);
    if exhausted { Kind::ResourceExhausted } else { Kind::Internal }
}
