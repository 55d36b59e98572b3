//! A set-up that goes on in a child, because a pid namespace is entered only by being born in it.

use crate::error::{StepResult, failed};
use crate::report::{self, Report, Says};
use podwright_sys::clone::{self, Forked};
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::BorrowedFd;

/// Forks with `flags` a sibling, a child of the monitor too, and ends; returns in that sibling, which the monitor has
/// been told of by then.
///
/// # Errors
/// The failing call.
pub(crate) fn to_child(socket: BorrowedFd<'_>, flags: u64) -> StepResult<()> {
    let (told, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(failed("hand over", "pipe2", ""))?;
    if let Forked::Parent(pid) = clone::fork(clone::PARENT | flags, None)? {
        let sent = report::send(socket, &Report::Process { pid, says: Says::Everything }, None);
        clone::exit_now(i32::from(sent.is_err()));
    }
    drop(tell);
    // the end of file: who forked this has said so, and is gone
    rustix::io::read(&told, &mut [0_u8; 1]).map_err(failed("hand over", "read", ""))?;
    Ok(())
}
