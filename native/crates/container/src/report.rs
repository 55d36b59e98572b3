//! What a child tells the monitor over its socket, one message each; descriptors go with them.
//! Written by hand: the child shares no code with the daemon's protocol.

use crate::error::{Kind, StepError, StepResult, failed};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A device node the container has by request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDevice {
    /// Path in the container.
    pub path: String,
    /// Whether it is a block device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Subset of `rwm`.
    pub access: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Something was clamped or left out.
    Note(String),
    /// The log file, open for appending, comes with this message.
    Log {
        /// It is on a filesystem whose server may stop answering.
        remote: bool,
    },
    /// The terminal's master comes with this message.
    Terminal,
    /// A mount of /proc in the pause's pid namespace comes with this message.
    Proc,
    /// The root is there and not entered yet; the child waits for the hooks of the runtime's namespaces.
    Hooks,
    /// All is set up; the child waits for the go.
    Ready {
        /// Devices found under the requested host paths.
        devices: Vec<FoundDevice>,
        /// Supplementary groups of the process.
        groups: Vec<u32>,
    },
    /// The program runs: said where the end of the socket alone does not say it.
    Started,
    /// The process that will exec, when it is not the child itself.
    Process {
        /// In the monitor's pid namespace.
        pid: i32,
        /// What it has to say itself from now on.
        says: Says,
    },
    /// The way to the engine that brings a captured process back comes with this message: the child becomes it.
    Engine,
    /// The program's pid inside a sandbox with pids of its own.
    Inner(i32),
    /// A step failed; the child ends.
    Failed(StepError),
}

/// Whom a child hands its voice to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// To nobody: the child goes on speaking.
    Nothing,
    /// The process that was told of goes on in its place.
    Everything,
    /// That process may say that it failed, once, and nothing else: peers in its pid namespace can make it say things.
    OnlyFailure,
}

const MAX_MESSAGE: usize = 64 * 1024;

/// The two ends of a report socket: the monitor's (non-blocking) and the child's. Both close on
/// exec, so the end of the stream after the go means that exec worked.
///
/// # Errors
/// The errno of socketpair.
pub fn pair() -> StepResult<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(failed("talk to a child", "socketpair", ""))?;
    // the kernel tells who sent a message: others may get hold of the child's end
    rustix::net::sockopt::set_socket_passcred(&ours, true).map_err(failed("talk to a child", "setsockopt", ""))?;
    Ok((ours, theirs))
}

/// Sends a message, with a descriptor if one is given.
///
/// # Errors
/// The errno of sendmsg: the monitor has gone.
pub fn send(socket: impl AsFd, report: &Report, fd: Option<BorrowedFd<'_>>) -> StepResult<()> {
    let mut bytes = report.encode();
    bytes.truncate(MAX_MESSAGE);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let list: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !list.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&list));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)
        .map_err(failed("report", "sendmsg", ""))?;
    Ok(())
}

/// What came from a child.
#[derive(Debug)]
pub enum Received {
    /// A message, with its descriptor if one came along.
    Message(Report, Option<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// The child has closed its end: it ended, or its exec worked.
    End,
}

/// Takes the next message. `wait`: until one comes (or the socket's receive timeout is over).
///
/// # Errors
/// The errno of recvmsg, or a message that is none.
pub fn receive(socket: impl AsFd, wait: bool) -> StepResult<Received> {
    match take(socket.as_fd(), wait)? {
        Taken::Message { bytes, fds, .. } => Ok(Received::Message(read(&bytes)?, fds.into_iter().next())),
        Taken::Nothing => Ok(Received::Nothing),
        Taken::End => Ok(Received::End),
    }
}

pub(crate) fn read(bytes: &[u8]) -> StepResult<Report> {
    Report::decode(bytes)
        .ok_or_else(|| StepError::without_call(Kind::Internal, "hear a child", "", "its message cannot be read"))
}

/// As many descriptors as a message can have (unix(7)): the kernel closes those that there is no room for, which may take
/// long.
const MAX_FDS: usize = 253;

/// A message as it came.
pub(crate) enum Taken {
    Message { bytes: Vec<u8>, fds: Vec<OwnedFd>, sender: i32 },
    Nothing,
    End,
}

pub(crate) fn take(socket: BorrowedFd<'_>, wait: bool) -> StepResult<Taken> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    let got = loop {
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
            Ok(got) => break got.bytes,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(Taken::Nothing),
            Err(rustix::io::Errno::CONNRESET) => return Ok(Taken::End),
            Err(e) => return Err(failed("hear a child", "recvmsg", "")(e)),
        }
    };
    let (mut fds, mut sender) = (Vec::new(), 0);
    for message in ancillary.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(came) => fds.extend(came),
            RecvAncillaryMessage::ScmCredentials(of) => sender = of.pid.as_raw_nonzero().get(),
            _ => {}
        }
    }
    // an empty message has a sender
    if got == 0 && sender == 0 {
        return Ok(Taken::End);
    }
    bytes.truncate(got);
    Ok(Taken::Message { bytes, fds, sender })
}

impl Report {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        match self {
            Self::Note(text) => out.tag(b'N').text(text),
            Self::Log { remote } => out.tag(b'L').tag(u8::from(*remote)),
            Self::Terminal => out.tag(b'T'),
            Self::Proc => out.tag(b'P'),
            Self::Started => out.tag(b'S'),
            Self::Hooks => out.tag(b'H'),
            Self::Engine => out.tag(b'E'),
            Self::Inner(pid) => out.tag(b'G').number(*pid as u32),
            Self::Process { pid, says } => out.tag(b'I').number(*pid as u32).tag(match says {
                Says::Nothing => 0,
                Says::Everything => 1,
                Says::OnlyFailure => 2,
            }),
            Self::Ready { devices, groups } => {
                out.tag(b'R').number(devices.len() as u32);
                for d in devices {
                    out.text(&d.path).tag(u8::from(d.block)).number(d.major).number(d.minor).text(&d.access);
                }
                out.number(groups.len() as u32);
                groups.iter().fold(&mut out, |out, group| out.number(*group))
            }
            Self::Failed(e) => {
                let kind = match e.kind {
                    Kind::Internal => 0,
                    Kind::Invalid => 1,
                    Kind::Unsupported => 2,
                    Kind::ImageVolume => 3,
                    Kind::Refused => 4,
                };
                out.tag(b'F').tag(kind).number(e.errno as u32);
                out.text(&e.operation).text(&e.syscall).text(&e.object).text(&e.detail)
            }
        };
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        Some(match input.tag()? {
            b'N' => Self::Note(input.text()?),
            b'L' => Self::Log { remote: input.tag()? != 0 },
            b'T' => Self::Terminal,
            b'P' => Self::Proc,
            b'S' => Self::Started,
            b'H' => Self::Hooks,
            b'E' => Self::Engine,
            b'G' => Self::Inner(input.number()? as i32),
            b'I' => {
                let pid = input.number()? as i32;
                let says = match input.tag()? {
                    0 => Says::Nothing,
                    1 => Says::Everything,
                    _ => Says::OnlyFailure,
                };
                Self::Process { pid, says }
            }
            b'R' => {
                let mut devices = Vec::new();
                for _ in 0..input.number()? {
                    let (path, block) = (input.text()?, input.tag()? != 0);
                    let (major, minor, access) = (input.number()?, input.number()?, input.text()?);
                    devices.push(FoundDevice { path, block, major, minor, access });
                }
                let mut groups = Vec::new();
                for _ in 0..input.number()? {
                    groups.push(input.number()?);
                }
                Self::Ready { devices, groups }
            }
            b'F' => {
                let kind = match input.tag()? {
                    1 => Kind::Invalid,
                    2 => Kind::Unsupported,
                    3 => Kind::ImageVolume,
                    4 => Kind::Refused,
                    _ => Kind::Internal,
                };
                let errno = input.number()? as i32;
                let (operation, syscall) = (input.text()?, input.text()?);
                let (object, detail) = (input.text()?, input.text()?);
                Self::Failed(StepError { kind, operation, syscall, errno, object, detail })
            }
            _ => return None,
        })
    }
}

/// Longest text in a message; four of them fit.
const MAX_TEXT: usize = 12 * 1024;

struct Writer(Vec<u8>);

impl Writer {
    fn tag(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn number(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let bytes = text.as_bytes().get(..MAX_TEXT).unwrap_or(text.as_bytes());
        self.number(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
        self
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn tag(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*first))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn samples() -> Vec<Report> {
        let device = FoundDevice { path: "/dev/fuse".into(), block: false, major: 10, minor: 229, access: "rw".into() };
        vec![
            Report::Note("n".into()),
            Report::Log { remote: true },
            Report::Terminal,
            Report::Proc,
            Report::Started,
            Report::Hooks,
            Report::Engine,
            Report::Process { pid: 4711, says: Says::Nothing },
            Report::Process { pid: 4711, says: Says::Everything },
            Report::Process { pid: 4711, says: Says::OnlyFailure },
            Report::Inner(3),
            Report::Ready { devices: vec![device], groups: vec![0, 10] },
            Report::Failed(StepError::invalid("mount", "/x", "source is not shared")),
        ]
    }

    #[test]
    fn messages_cross_the_socket() {
        let (ours, theirs) = pair().unwrap();
        for sample in samples() {
            send(&theirs, &sample, None).unwrap();
            assert!(matches!(receive(&ours, true).unwrap(), Received::Message(r, None) if r == sample));
        }
        assert!(matches!(receive(&ours, false).unwrap(), Received::Nothing));
        send(&theirs, &Report::Log { remote: false }, Some(theirs.as_fd())).unwrap();
        assert!(matches!(receive(&ours, true).unwrap(), Received::Message(Report::Log { remote: false }, Some(_))));
        drop(theirs);
        assert!(matches!(receive(&ours, true).unwrap(), Received::End));
    }

    #[test]
    fn cut_messages_are_refused() {
        for sample in samples() {
            let bytes = sample.encode();
            for end in 0..bytes.len() {
                assert_eq!(Report::decode(&bytes[..end]), None, "{sample:?} {end}");
            }
        }
    }
}
