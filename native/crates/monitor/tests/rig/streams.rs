//! Execs, attachments and ports: their streams as sockets.

use super::Rig;
use super::bundle::Bundle;
use podwright_protocol::client::{ClientError, open_stream};
use podwright_protocol::message::open_stream::{Name, Port, Process, Stream};
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{Attach, CancelExec, Exec, OpenStream, Resize, TerminalSize, WaitExec, response};
use serde_json::json;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// A request to run `args` with all of its streams.
pub fn exec_of(bundle: &Bundle, id: &str, args: &[&str]) -> Exec {
    let mut process = bundle.spec["process"].clone();
    process["args"] = json!(args);
    process["terminal"] = json!(false);
    Exec {
        container_id: bundle.id.clone(),
        exec_id: id.into(),
        process: process.to_string(),
        stdin: true,
        stdout: true,
        stderr: true,
        ..Exec::default()
    }
}

/// The same with a terminal.
pub fn tty_of(bundle: &Bundle, id: &str, args: &[&str]) -> Exec {
    let size = Some(TerminalSize { width: 101, height: 31 });
    Exec { terminal: true, stderr: false, size, ..exec_of(bundle, id, args) }
}

impl Rig {
    /// Starts an exec; its pid.
    pub fn begin(&mut self, request: Exec) -> Result<i32, ClientError> {
        match self.client.call(Call::Exec(request))? {
            response::Result::Exec(reply) => Ok(reply.pid),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for an exec; its exit code.
    pub fn wait_exec(&mut self, id: &str, drain_ms: u32) -> Result<i32, ClientError> {
        let id = self.client.send(Call::WaitExec(WaitExec { exec_id: id.into(), drain_ms }))?;
        self.wait_code(id)
    }

    /// The exit code that answers a sent WaitExec.
    pub fn wait_code(&mut self, id: u64) -> Result<i32, ClientError> {
        match self.client.wait(id)? {
            response::Result::WaitExec(reply) => Ok(reply.exit_code),
            other => panic!("{other:?}"),
        }
    }

    pub fn cancel(&mut self, id: &str) -> Result<response::Result, ClientError> {
        self.client.call(Call::CancelExec(CancelExec { exec_id: id.into() }))
    }

    pub fn resize(&mut self, container: &str, exec: &str, width: u32, height: u32) -> Result<(), ClientError> {
        let size = Some(TerminalSize { width, height });
        let request = Resize { container_id: container.into(), exec_id: exec.into(), size };
        self.client.call(Call::Resize(request)).map(drop)
    }

    pub fn attach(&mut self, bundle: &Bundle, id: &str, stdin: bool) -> Result<bool, ClientError> {
        let request = Attach {
            container_id: bundle.id.clone(),
            attach_id: id.into(),
            stdin,
            stdout: true,
            stderr: !bundle.request.terminal,
        };
        match self.client.call(Call::Attach(request))? {
            response::Result::Attach(reply) => Ok(reply.terminal),
            other => panic!("{other:?}"),
        }
    }

    pub fn try_stream(&self, id: &str, name: Name) -> Result<UnixStream, ClientError> {
        let stream = Some(Stream::Process(Process { id: id.into(), name: name.into() }));
        open_stream(&self.socket(), OpenStream { stream })
    }

    pub fn stdin(&self, id: &str) -> UnixStream {
        self.try_stream(id, Name::Stdin).unwrap()
    }

    pub fn stdout(&self, id: &str) -> UnixStream {
        self.try_stream(id, Name::Stdout).unwrap()
    }

    pub fn stderr(&self, id: &str) -> UnixStream {
        self.try_stream(id, Name::Stderr).unwrap()
    }

    pub fn port(&self, port: u32) -> Result<UnixStream, ClientError> {
        open_stream(&self.socket(), OpenStream { stream: Some(Stream::Port(Port { port })) })
    }
}

/// Everything until the end of a stream.
pub fn rest(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Reads until a text has come; everything so far.
pub fn until(stream: &mut UnixStream, text: &str) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let tail = all.len().saturating_sub(buffer.len() + text.len());
        if String::from_utf8_lossy(&all[tail..]).contains(text) {
            return String::from_utf8(all).unwrap();
        }
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the stream ended after {} bytes: {:?}", all.len(), String::from_utf8_lossy(&all[tail..]));
        all.extend_from_slice(&buffer[..count]);
    }
}

/// Writes and ends the direction.
pub fn send_all(stream: &mut UnixStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
}
