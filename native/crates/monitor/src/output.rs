//! Pipes and terminals of containers and execs: made, read, drained.

use crate::container::Outputs;
use crate::flow::has_input;
use crate::log::Trouble;
use crate::poller::{Output, Source};
use crate::records::Stream;
use crate::server::Monitor;
use podwright_protocol::message::{LogTrouble, event};
use podwright_sys::errno::{SysError, SysResult};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// The monitor's ends.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// Where output is read, non-blocking.
    pub(crate) outputs: Outputs,
    /// Where standard input is written.
    pub(crate) stdin: Option<OwnedFd>,
}

/// The child's ends.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Standard input.
    pub(crate) stdin: Option<OwnedFd>,
    /// Standard output.
    pub(crate) stdout: Option<OwnedFd>,
    /// Standard error.
    pub(crate) stderr: Option<OwnedFd>,
}

/// Which pipes a process gets; the others of its streams are /dev/null, or a terminal that comes later.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// For standard input.
    pub(crate) stdin: bool,
    /// For standard output.
    pub(crate) stdout: bool,
    /// For standard error.
    pub(crate) stderr: bool,
}

impl Pipes {
    /// Makes them; the monitor's ends never wait.
    pub(crate) fn make(wanted: Wanted) -> SysResult<(Self, Ends)> {
        let (stdin_end, stdin) = if wanted.stdin { Some(pipe()?) } else { None }.unzip();
        stdin.iter().try_for_each(set_nonblocking)?;
        let (stdout, stdout_end) = if wanted.stdout { Some(output_pipe()?) } else { None }.unzip();
        let (stderr, stderr_end) = if wanted.stderr { Some(output_pipe()?) } else { None }.unzip();
        let ends = Ends { stdin: stdin_end, stdout: stdout_end, stderr: stderr_end };
        Ok((Self { outputs: Outputs { stdout, stderr }, stdin }, ends))
    }
}

fn pipe() -> SysResult<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| SysError::new("make a pipe", "pipe2", e.raw_os_error(), ""))
}

fn output_pipe() -> SysResult<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe()?;
    set_nonblocking(&reader)?;
    Ok((reader, writer))
}

/// Reads from it never wait.
pub(crate) fn set_nonblocking(fd: &OwnedFd) -> SysResult<()> {
    let failed = |e: Errno| SysError::new("make a pipe", "fcntl", e.raw_os_error(), "");
    let flags = rustix::fs::fcntl_getfl(fd).map_err(failed)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(failed)
}

/// What a read of an output gave.
pub(crate) enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The last writer has closed it.
    End,
}

/// Reads once. A terminal's master gives EIO when nobody has the other end open.
pub(crate) fn read(fd: impl AsFd, buffer: &mut [u8]) -> Got {
    match rustix::io::read(fd, buffer) {
        Ok(0) | Err(Errno::IO) => Got::End,
        Ok(count) => Got::Bytes(count),
        Err(Errno::AGAIN | Errno::INTR) => Got::Nothing,
        Err(_) => Got::End,
    }
}

impl Monitor {
    /// An output of a container or exec can be read.
    pub(crate) fn output_ready(&mut self, key: u64, output: Output) -> SysResult<()> {
        if self.execs.contains_key(&key) {
            return self.exec_output(key, output);
        }
        if self.is_held(key, output) {
            return Ok(()); // since this was seen to be ready
        }
        if self.read_container(key, output)? && self.containers.get(&key).is_some_and(|c| c.ending.is_some()) {
            return self.finish_if_drained(key);
        }
        Ok(())
    }

    /// Reads one buffer's worth of a container's output into its log. True at the end of the output.
    pub(crate) fn read_container(&mut self, key: u64, output: Output) -> SysResult<bool> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(true) };
        let Some(fd) = container.outputs.get(output) else { return Ok(true) };
        let (bytes, room) = (self.scratch.bytes(), self.room.bytes());
        match read(fd, bytes) {
            Got::Nothing => Ok(false),
            Got::End => {
                self.close_output(key, output)?;
                Ok(true)
            }
            Got::Bytes(count) => {
                let stream = match output {
                    Output::Stdout => Stream::Stdout,
                    Output::Stderr => Stream::Stderr,
                };
                let trouble = container.log.take(stream, bytes.get(..count).unwrap_or_default(), room);
                self.scratch_used();
                self.watch_log(key);
                self.copy_output(key, output, count)?;
                self.tell_trouble(key, trouble)?;
                Ok(false)
            }
        }
    }

    /// Tells that a container's log cannot be written, if so.
    pub(crate) fn tell_trouble(&mut self, key: u64, trouble: Option<Trouble>) -> SysResult<()> {
        let Some((trouble, container)) = trouble.zip(self.containers.get(&key)) else { return Ok(()) };
        let (container_id, errno) = (container.id.clone(), trouble.errno);
        self.push(event::Event::LogTrouble(LogTrouble { container_id, errno, dropped_bytes: trouble.dropped }))
    }

    /// Reads what an output holds now. True at its end.
    pub(crate) fn drain_container(&mut self, key: u64, output: Output) -> SysResult<bool> {
        // A descendant may write for ever: what a pipe can hold is what was there.
        for _ in 0..64 {
            let waiting = self.containers.get(&key).and_then(|c| c.outputs.get(output)).is_some_and(has_input);
            if !waiting {
                break;
            }
            if self.read_container(key, output)? {
                return Ok(true);
            }
        }
        Ok(self.containers.get(&key).is_none_or(|c| c.outputs.get(output).is_none()))
    }

    /// Stops reading an output of a container.
    pub(crate) fn close_output(&mut self, key: u64, output: Output) -> SysResult<()> {
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let Some(fd) = container.outputs.take(output) else { return Ok(()) };
        if !container.held.contains(output) {
            self.poller.remove(&fd);
        }
        container.held.set(output, false);
        self.end_copies(key, output)
    }

    /// A terminal's master has come: it is the container's only output, and its input.
    pub(crate) fn container_terminal(&mut self, key: u64, master: OwnedFd) -> SysResult<()> {
        set_nonblocking(&master)?;
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        self.poller.add(&master, Source::Output(key, Output::Stdout))?;
        container.outputs.stdout = Some(master);
        Ok(())
    }
}
