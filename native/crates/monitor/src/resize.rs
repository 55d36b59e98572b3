//! Resize: the size of a container's or an exec's terminal.

use crate::exec::Purpose;
use crate::reply::{Answer, done, failure, sys_failure};
use crate::server::Monitor;
use podwright_protocol::message::failure::Kind;
use podwright_protocol::message::{Failure, Resize, TerminalSize};
use podwright_sys::errno::SysError;
use rustix::termios::Winsize;
use std::os::fd::OwnedFd;

const OPERATION: &str = "resize a terminal";

/// Rows and columns as the kernel takes them.
pub(crate) fn size(size: &TerminalSize) -> Result<(u16, u16), Box<Failure>> {
    match (u16::try_from(size.height), u16::try_from(size.width)) {
        (Ok(rows), Ok(columns)) => Ok((rows, columns)),
        _ => {
            let text = format!("{} columns and {} rows: at most 65535 of each", size.width, size.height);
            Err(failure(Kind::Invalid, OPERATION, "size", text))
        }
    }
}

impl Monitor {
    /// Sets the size; the foreground process gets SIGWINCH from the kernel.
    pub(crate) fn resize(&self, request: &Resize) -> Answer {
        let Some(wanted) = &request.size else {
            return Err(failure(Kind::Invalid, OPERATION, "size", "a size is missing"));
        };
        let (ws_row, ws_col) = size(wanted)?;
        let terminal = self.terminal_of(request)?;
        let winsize = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(terminal, winsize)
            .map_err(|e| sys_failure(&SysError::new(OPERATION, "ioctl", e.raw_os_error(), "TIOCSWINSZ")))?;
        done()
    }

    fn terminal_of(&self, request: &Resize) -> Result<&OwnedFd, Box<Failure>> {
        let none = |object: &str, kind, text: String| failure(kind, OPERATION, object, text);
        if !request.exec_id.is_empty() {
            let id = &request.exec_id;
            let exec = self.execs.values().find(|e| e.id == *id);
            let exec = exec.ok_or_else(|| none(id, Kind::NotFound, format!("exec {id} is not here")))?;
            let terminal = match &exec.purpose {
                Purpose::Stream(streamed) => streamed.terminal.as_ref(),
                Purpose::Collect(_) => None,
            };
            return terminal.ok_or_else(|| none(id, Kind::FailedPrecondition, format!("exec {id} has no terminal")));
        }
        let id = &request.container_id;
        let container = self.container_key(id).and_then(|key| self.containers.get(&key));
        let container = container.ok_or_else(|| none(id, Kind::NotFound, format!("container {id} is not here")))?;
        let terminal = container.outputs.stdout.as_ref().filter(|_| container.terminal);
        terminal.ok_or_else(|| none(id, Kind::FailedPrecondition, format!("container {id} has no terminal now")))
    }
}
