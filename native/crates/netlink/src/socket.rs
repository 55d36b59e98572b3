//! A netlink socket: sends a batch of requests in one write and reads all their answers.

use crate::error::{NetlinkError, NetlinkResult};
use crate::kernel::{NLM_F_ACK_TLVS, NLM_F_DUMP_INTR, NLMSGERR_ATTR_MSG};
use crate::message::{Message, attribute, messages, text, u32_at};
use podwright_sys::errno::SysError;
use podwright_sys::netlink_socket::explain_errors;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt,
};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Larger than any datagram of a dump (the kernel makes them of at most 32 KiB).
const RECEIVE_BYTES: usize = 64 * 1024;
/// The kernel answers within the send; this only bounds a wait that a bug would make endless.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A dump that keeps being interrupted by changes is given up after so many tries.
const DUMP_TRIES: usize = 10;

/// A request with the words its failure is told in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) message: Message,
    pub(crate) operation: &'static str,
    pub(crate) name: &'static str,
    pub(crate) object: String,
    /// Errnos that count as done: EEXIST for what may be there, ENODEV for what may be gone.
    pub(crate) tolerated: &'static [i32],
}

impl Request {
    /// A request that must succeed.
    pub(crate) fn new(
        operation: &'static str,
        name: &'static str,
        object: impl Into<String>,
        message: Message,
    ) -> Self {
        Self { message, operation, name, object: object.into(), tolerated: &[] }
    }

    /// The same request, with errnos that count as done.
    pub(crate) fn tolerating(mut self, errnos: &'static [i32]) -> Self {
        self.tolerated = errnos;
        self
    }

    fn refused(&self, errno: i32, detail: String) -> NetlinkError {
        NetlinkError::Kernel { source: SysError::new(self.operation, self.name, errno, self.object.clone()), detail }
    }
}

/// One message of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) kind: u16,
    pub(crate) payload: Vec<u8>,
}

/// What a request came to: its replies, and the errno it was tolerated with.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) replies: Vec<Reply>,
    pub(crate) tolerated: Option<i32>,
}

/// A socket of the network namespace of the thread that opened it, wherever it is used later.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// A socket to the routing subsystem (rtnetlink(7)).
    pub(crate) fn route() -> NetlinkResult<Self> {
        Self::open(None)
    }

    /// A socket to netfilter's subsystems.
    pub(crate) fn netfilter() -> NetlinkResult<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> NetlinkResult<Self> {
        let failed = |syscall: &'static str, errno: Errno| {
            SysError::new("open a netlink socket", syscall, errno.raw_os_error(), "")
        };
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(|errno| failed("socket", errno))?;
        explain_errors(fd.as_fd())?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(ANSWER_LIMIT))
            .map_err(|errno| failed("setsockopt", errno))?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Sends all requests at once and reads every answer. The kernel carries out each of them, also
    /// after one has failed; the first failure is returned.
    pub(crate) fn run(&mut self, requests: Vec<Request>) -> NetlinkResult<Vec<Answer>> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for request in &requests {
            self.sequence = self.sequence.wrapping_add(1);
            bytes.extend(request.message.clone().finish(self.sequence));
        }
        self.send(&bytes, &requests)?;
        self.collect(first, &requests)
    }

    /// One request; its answer.
    pub(crate) fn run_one(&mut self, request: Request) -> NetlinkResult<Answer> {
        let mut answers = self.run(vec![request])?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// A dump, repeated while the kernel says that it changed under the walk.
    pub(crate) fn dump(&mut self, request: Request) -> NetlinkResult<Vec<Reply>> {
        let mut tries = 0;
        loop {
            match self.run_one(request.clone()) {
                Ok(answer) => return Ok(answer.replies),
                Err(error) if error.errno() == libc::EINTR && tries < DUMP_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&self, bytes: &[u8], requests: &[Request]) -> NetlinkResult<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        match rustix::io::retry_on_intr(|| sendto(&self.fd, bytes, SendFlags::empty(), &kernel)) {
            Ok(_) => Ok(()),
            Err(errno) => Err(broken(requests, "sendto", errno)),
        }
    }

    fn collect(&self, first: u32, requests: &[Request]) -> NetlinkResult<Vec<Answer>> {
        let mut collecting = Collecting::new(first, requests);
        let mut buffer = vec![0u8; RECEIVE_BYTES];
        while !collecting.is_done() {
            let length = self.receive(&mut buffer, requests)?;
            collecting.take(&buffer[..length])?;
        }
        collecting.finish()
    }

    fn receive(&self, buffer: &mut [u8], requests: &[Request]) -> NetlinkResult<usize> {
        let received = rustix::io::retry_on_intr(|| recv(&self.fd, &mut *buffer, RecvFlags::TRUNC));
        match received {
            Ok((_, length)) if length > buffer.len() => Err(malformed(requests, "longer than the buffer")),
            Ok((_, 0)) => Err(malformed(requests, "empty")),
            Ok((_, length)) => Ok(length),
            Err(errno) => Err(broken(requests, "recv", errno)),
        }
    }
}

/// The answers to requests that were sent, as they come.
pub(crate) struct Collecting<'a> {
    first: u32,
    requests: &'a [Request],
    answers: Vec<Answer>,
    open: Vec<bool>,
    failure: Option<NetlinkError>,
}

impl<'a> Collecting<'a> {
    /// `first`: the sequence number of the first request; the others have the next ones.
    pub(crate) fn new(first: u32, requests: &'a [Request]) -> Self {
        let answers = requests.iter().map(|_| Answer::default()).collect();
        Self { first, requests, answers, open: vec![true; requests.len()], failure: None }
    }

    /// Whether all requests have been answered.
    pub(crate) fn is_done(&self) -> bool {
        !self.open.contains(&true)
    }

    /// Takes a datagram.
    pub(crate) fn take(&mut self, datagram: &[u8]) -> NetlinkResult<()> {
        for message in messages(datagram) {
            let message = message.ok_or_else(|| malformed(self.requests, "bad message length"))?;
            let index = message.sequence.wrapping_sub(self.first) as usize;
            let Some(request) = self.requests.get(index) else {
                continue; // the tail of an answer that was given up
            };
            if message.flags & NLM_F_DUMP_INTR != 0 {
                self.fail(request.refused(libc::EINTR, String::new()));
            }
            match end_of(request, &message)? {
                End::No => {
                    let reply = Reply { kind: message.kind, payload: message.payload.to_vec() };
                    self.answers[index].replies.push(reply);
                }
                End::Done => self.open[index] = false,
                End::Refused(errno, detail) => {
                    self.open[index] = false;
                    if request.tolerated.contains(&errno) {
                        self.answers[index].tolerated = Some(errno);
                    } else {
                        self.fail(request.refused(errno, detail));
                    }
                }
            }
        }
        Ok(())
    }

    /// The first failure is the one that is told.
    fn fail(&mut self, error: NetlinkError) {
        self.failure.get_or_insert(error);
    }

    /// The answers in the order of their requests, or the first failure.
    pub(crate) fn finish(self) -> NetlinkResult<Vec<Answer>> {
        self.failure.map_or(Ok(self.answers), Err)
    }
}

enum End {
    No,
    Done,
    Refused(i32, String),
}

/// Whether a message ends its request: an acknowledgement, a refusal, or the end of a dump.
fn end_of(request: &Request, message: &crate::message::Received<'_>) -> NetlinkResult<End> {
    let kind = i32::from(message.kind);
    if kind != libc::NLMSG_ERROR && kind != libc::NLMSG_DONE {
        return Ok(End::No);
    }
    let code = u32_at(message.payload, 0).map(|code| code as i32);
    match code {
        Some(0) => Ok(End::Done),
        None if kind == libc::NLMSG_DONE => Ok(End::Done),
        Some(code) if code > 0 && kind == libc::NLMSG_DONE => Ok(End::Done),
        // the smallest number has no counterpart, and is no errno
        Some(code) if code < 0 && code != i32::MIN => Ok(End::Refused(-code, explanation(message))),
        _ => Err(NetlinkError::Malformed {
            operation: request.operation,
            object: request.object.clone(),
            reason: "an acknowledgement without a result",
        }),
    }
}

/// The text of an extended acknowledgement. With NETLINK_CAP_ACK the refused message's header (16
/// bytes) follows the code, then the attributes.
fn explanation(message: &crate::message::Received<'_>) -> String {
    if message.flags & NLM_F_ACK_TLVS == 0 {
        return String::new();
    }
    let skip = if i32::from(message.kind) == libc::NLMSG_DONE { 4 } else { 4 + crate::kernel::HEADER_LEN };
    let attrs = message.payload.get(skip..).unwrap_or_default();
    attribute(attrs, NLMSGERR_ATTR_MSG).map(text).unwrap_or_default()
}

fn broken(requests: &[Request], syscall: &'static str, errno: Errno) -> NetlinkError {
    let (operation, object) = about(requests);
    SysError::new(operation, syscall, errno.raw_os_error(), object).into()
}

fn malformed(requests: &[Request], reason: &'static str) -> NetlinkError {
    let (operation, object) = about(requests);
    NetlinkError::Malformed { operation, object, reason }
}

fn about(requests: &[Request]) -> (&'static str, String) {
    match requests.first() {
        Some(request) => (request.operation, request.object.clone()),
        None => ("talk to the kernel", String::new()),
    }
}
