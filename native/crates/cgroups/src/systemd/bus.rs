//! One connection to process 1: calls, and jobs waited for.

use super::message::{self, Body, Incoming, Kind, Reader, Target};
use crate::error::{CgroupError, Result};
use podwright_sys::errno::SysError;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const MANAGER: Target = Target {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
const BUS: Target =
    Target { destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };
const JOBS: &str = "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
const RELOADS: &str = "type='signal',interface='org.freedesktop.systemd1.Manager',member='Reloading'";
/// The name of the failure that a connection has ended: none of systemd's own.
pub(super) const CLOSED: &str = "closed";
/// Signals kept while an answer is awaited; others have hundreds of jobs on a busy node.
const MOST_SIGNALS: usize = 4096;

/// An open connection. Dropped: closed.
pub(super) struct Bus {
    stream: UnixStream,
    path: &'static str,
    serial: u32,
    signals: VecDeque<Incoming>,
    end: Instant,
}

impl Bus {
    /// Connects to the first of these sockets that somebody listens on; `limit` is for all that is done with it.
    pub(super) fn open(sockets: &[&'static str], limit: Duration) -> Result<Self> {
        let mut first: Option<CgroupError> = None;
        for path in sockets {
            match Self::connect(path, limit) {
                Ok(bus) => return Ok(bus),
                Err(e) => first = first.or(Some(e)),
            }
        }
        Err(first.unwrap_or(CgroupError::NoCgroups("systemd has no socket")))
    }

    fn connect(path: &'static str, limit: Duration) -> Result<Self> {
        let stream = UnixStream::connect(path).map_err(|e| SysError::from_io("reach systemd", "connect", &e, path))?;
        let mut bus = Self { stream, path, serial: 0, signals: VecDeque::new(), end: Instant::now() + limit };
        bus.authenticate()?;
        // the bus wants a name to be asked for; process 1's own socket knows nothing of it
        if path.contains("/dbus/") {
            bus.ask(BUS, "Hello", Body::new(), "")?;
            bus.ask(BUS, "AddMatch", Body::new().text(JOBS), "")?;
            bus.ask(BUS, "AddMatch", Body::new().text(RELOADS), "")?;
        }
        Ok(bus)
    }

    /// As the user that we are: the kernel tells the other end who that is (AUTH EXTERNAL).
    fn authenticate(&mut self) -> Result<()> {
        let user: String =
            rustix::process::geteuid().as_raw().to_string().bytes().map(|b| format!("{b:02x}")).collect();
        // in one piece: process 1 forgets what it reads behind BEGIN until more comes
        self.send(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > 512 {
                return Err(self.strange("its greeting is too long"));
            }
            let mut byte = [0];
            self.receive(&mut byte)?;
            line.push(byte[0]);
        }
        if !line.starts_with(b"OK ") {
            return Err(self.strange("it does not know us"));
        }
        Ok(())
    }

    /// Calls a method of the manager.
    pub(super) fn call(&mut self, member: &'static str, body: Body, unit: &str) -> Result<Incoming> {
        self.ask(MANAGER, member, body, unit)
    }

    /// Calls a method that begins a job, and waits for the job's end.
    pub(super) fn job(&mut self, member: &'static str, body: Body, unit: &str) -> Result<()> {
        self.ask(MANAGER, "Subscribe", Body::new(), unit)?;
        let answer = self.call(member, body, unit)?;
        let job = Reader::new(&answer.body).text().ok_or_else(|| self.strange("its answer has no job"))?;
        loop {
            let signal = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.next()?,
            };
            if signal.kind != Kind::Signal || signal.member != "JobRemoved" {
                continue;
            }
            // JobRemoved(u id, o job, s unit, s result)
            let mut reader = Reader::new(&signal.body);
            let (_, which, _, result) = (reader.number(), reader.text(), reader.text(), reader.text());
            if which.as_deref() != Some(&job) {
                continue;
            }
            return match result.as_deref() {
                Some("done" | "skipped") => Ok(()),
                other => Err(CgroupError::Systemd {
                    call: member,
                    unit: unit.into(),
                    name: String::new(),
                    message: format!("its job ended with {}", other.unwrap_or("nothing")),
                }),
            };
        }
    }

    /// Waits until the manager has read its units again: `Reloading(b active)`, false at the end.
    pub(super) fn reload(&mut self) -> Result<()> {
        self.ask(MANAGER, "Subscribe", Body::new(), "")?;
        loop {
            let signal = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.next()?,
            };
            let ended = signal.kind == Kind::Signal && signal.member == "Reloading";
            if ended && Reader::new(&signal.body).number() == Some(0) {
                return Ok(());
            }
        }
    }

    fn ask(&mut self, target: Target, member: &'static str, body: Body, unit: &str) -> Result<Incoming> {
        self.serial += 1;
        let serial = self.serial;
        self.send(&message::call(serial, target, member, &body))?;
        loop {
            let came = self.next()?;
            match came.kind {
                Kind::Answer(to) if to == serial => return Ok(came),
                Kind::Failure(to) if to == serial => {
                    let message = Reader::new(&came.body).text().unwrap_or_default();
                    return Err(CgroupError::Systemd { call: member, unit: unit.into(), name: came.error, message });
                }
                Kind::Signal if self.signals.len() < MOST_SIGNALS => self.signals.push_back(came),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Incoming> {
        let mut first = [0; message::FIRST];
        self.receive(&mut first)?;
        let length = message::whole_length(&first).ok_or_else(|| self.strange("its message has no length"))?;
        let mut whole = vec![0; length];
        whole[..message::FIRST].copy_from_slice(&first);
        self.receive(&mut whole[message::FIRST..])?;
        message::parse(&whole).ok_or_else(|| self.strange("its message is not understood"))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let left = self.left()?;
        let sent = self.stream.set_write_timeout(Some(left)).and_then(|()| self.stream.write_all(bytes));
        sent.map_err(|e| self.failed("write", &e))
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            let left = self.left()?;
            let got = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(&mut into[filled..]));
            match got {
                Ok(0) => return Err(self.closed()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed("read", &e)),
            }
        }
        Ok(())
    }

    fn left(&self) -> Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.strange("it does not answer in time")) } else { Ok(left) }
    }

    fn failed(&self, syscall: &'static str, e: &std::io::Error) -> CgroupError {
        if e.kind() == std::io::ErrorKind::WouldBlock {
            return self.strange("it does not answer in time");
        }
        SysError::from_io("talk to systemd", syscall, e, self.path).into()
    }

    fn closed(&self) -> CgroupError {
        match self.strange("it closed the connection") {
            CgroupError::Systemd { call, unit, message, .. } => {
                CgroupError::Systemd { call, unit, name: CLOSED.into(), message }
            }
            other => other,
        }
    }

    fn strange(&self, what: &str) -> CgroupError {
        CgroupError::Systemd { call: "a call", unit: self.path.into(), name: String::new(), message: what.into() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// Plays process 1: greets, reads `calls` calls, and answers each with these bytes.
    fn served(name: &str, answers: Vec<Vec<u8>>) -> (&'static str, std::thread::JoinHandle<()>) {
        let path: &'static str =
            Box::leak(format!("/tmp/podwright-bus-{name}-{}", std::process::id()).into_boxed_str());
        let _none = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut greeting = Vec::new();
            while !greeting.ends_with(b"BEGIN\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                greeting.push(byte[0]);
            }
            stream.write_all(b"OK 0123\r\n").unwrap();
            for answer in answers {
                let mut first = [0; message::FIRST];
                stream.read_exact(&mut first).unwrap();
                let mut rest = vec![0; message::whole_length(&first).unwrap() - message::FIRST];
                stream.read_exact(&mut rest).unwrap();
                stream.write_all(&answer).unwrap();
            }
            let _until_closed = stream.read(&mut [0]);
        });
        (path, thread)
    }

    fn answered(kind: u8, serial: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = vec![b'l', kind, 0, 1, body.len() as u8, 0, 0, 0, 9, 0, 0, 0, 8 + fields.len() as u8, 0, 0, 0];
        out.extend_from_slice(&[5, 1, b'u', 0, serial, 0, 0, 0]);
        out.extend_from_slice(fields);
        out.resize(out.len().next_multiple_of(8), 0);
        out.extend_from_slice(body);
        out
    }

    /// Field 3 or 4 with a text of at most 255 bytes.
    fn field(code: u8, text: &str) -> Vec<u8> {
        let mut out = vec![code, 1, b's', 0, text.len() as u8, 0, 0, 0];
        out.extend_from_slice(text.as_bytes());
        out.push(0);
        out
    }

    fn texts(first: Option<u32>, all: &[&str]) -> Vec<u8> {
        let mut out: Vec<u8> = first.map(|n| n.to_le_bytes().to_vec()).unwrap_or_default();
        for text in all {
            out.resize(out.len().next_multiple_of(4), 0);
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
        out
    }

    #[test]
    fn a_job_is_waited_for_among_those_of_others() {
        let removed = |job: &str, result: &str| {
            answered(4, 0, &field(3, "JobRemoved"), &texts(Some(1), &[job, "u.scope", result]))
        };
        for (result, fine) in [("done", true), ("failed", false)] {
            let mut started = removed("/job/1", "done");
            started.extend(answered(2, 2, &[], &texts(None, &["/job/2"])));
            started.extend(removed("/job/3", "failed"));
            started.extend(removed("/job/2", result));
            let (path, thread) = served(result, vec![answered(2, 1, &[], &[]), started]);
            let mut bus = Bus::open(&["/nowhere", path], Duration::from_secs(20)).unwrap();
            assert_eq!(bus.job("StartTransientUnit", Body::new().text("u.scope"), "u.scope").is_ok(), fine);
            drop(bus);
            thread.join().unwrap();
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_refusal_has_its_name_and_words() {
        let refused = answered(3, 1, &field(4, "org.x.NoSuchUnit"), &texts(None, &["no unit"]));
        let (path, thread) = served("refused", vec![refused]);
        let mut bus = Bus::open(&[path], Duration::from_secs(20)).unwrap();
        let error = bus.call("StopUnit", Body::new().text("u"), "u.scope").unwrap_err();
        assert!(matches!(&error, CgroupError::Systemd { name, .. } if name == "org.x.NoSuchUnit"));
        assert_eq!(error.to_string(), "systemd: StopUnit of u.scope: no unit");
        drop(bus);
        thread.join().unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn one_that_says_nothing_is_given_up() {
        let path: &'static str = Box::leak(format!("/tmp/podwright-bus-mute-{}", std::process::id()).into_boxed_str());
        let _none = std::fs::remove_file(path);
        let _listener = UnixListener::bind(path).unwrap();
        let error = Bus::open(&[path], Duration::from_millis(50)).err().unwrap();
        assert!(error.to_string().contains("does not answer in time"), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}
