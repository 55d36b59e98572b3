//! Ports: TCP connections into the sandbox's network namespace, which is the monitor's own.

use crate::clock;
use crate::pair::{Ends, Joined, Passed};
use crate::poller::{Poller, Ready, Source};
use crate::reply::{Asker, done, failure, sys_failure};
use crate::server::Monitor;
use crate::stream::{OPERATION, Stream, tell};
use crate::timers::Due;
use crate::watch::{Wait, Watch};
use podwright_protocol::message::Failure;
use podwright_protocol::message::failure::Kind;
use podwright_sys::errno::{SysError, SysResult};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// How long connecting may take, in milliseconds.
const CONNECT_MS: u64 = 10_000;

/// When the daemon has closed its end, the program behind the port may take what is left so long, in milliseconds.
const LINGER_MS: u64 = 10_000;

/// Connections at a time.
const MOST: usize = 1000;

/// Where a port is looked for, in this order.
const PLACES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A stream to a port.
#[derive(Debug)]
pub(crate) enum Port {
    /// The connection is being made.
    Connecting(Connecting),
    /// Bytes go both ways.
    Joined(Box<Joined>),
}

/// A connection that is being made.
#[derive(Debug)]
pub(crate) struct Connecting {
    near: Watch,
    far: Watch,
    asker: Asker,
    port: u16,
    /// Which of the places is tried.
    place: usize,
    /// What the first place said.
    refused: Option<Errno>,
}

impl Port {
    /// Closes both ends.
    pub(crate) fn close(self, poller: &Poller) {
        match self {
            Self::Connecting(connecting) => {
                drop(connecting.near.release(poller));
                drop(connecting.far.release(poller));
            }
            Self::Joined(joined) => joined.close(poller),
        }
    }
}

/// Begins a connection. True when it is there already.
fn connect(place: IpAddr, port: u16) -> Result<(OwnedFd, bool), Errno> {
    let family = if place.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &SocketAddr::new(place, port)) {
        Ok(()) if is_itself(&socket) => Err(Errno::CONNREFUSED),
        Ok(()) => Ok((socket, true)),
        Err(Errno::INPROGRESS) => Ok((socket, false)),
        Err(errno) => Err(errno),
    }
}

/// Whether both ends are one: where nobody listens, the kernel may choose for our end the very port that is connected to,
/// which then answers itself and keeps its program from listening.
fn is_itself(socket: impl AsFd) -> bool {
    let ours = rustix::net::getsockname(&socket).ok();
    let theirs = rustix::net::getpeername(&socket).ok().flatten();
    ours.is_some() && ours == theirs
}

fn refusal(port: u16, errno: Errno) -> Box<Failure> {
    let error = SysError::new("connect to port", "connect", errno.raw_os_error(), port.to_string());
    let mut why = sys_failure(&error);
    if why.kind() == Kind::Internal {
        why.set_kind(Kind::FailedPrecondition);
    }
    why.detail = format!("connect to port {port} in the pod: {}", error.reason());
    why
}

impl Monitor {
    /// Connects a stream to a port; the answer comes when that is done.
    pub(crate) fn open_port(&mut self, asker: Asker, socket: OwnedFd, port: u32) -> SysResult<()> {
        let refuse = |kind, text: String| {
            tell(&socket, asker.id, Err(failure(kind, OPERATION, &port.to_string(), text)));
            Ok(())
        };
        let Some(number) = u16::try_from(port).ok().filter(|number| *number != 0) else {
            return refuse(Kind::Invalid, format!("{port} is no port"));
        };
        if self.sandbox.is_none() {
            return refuse(Kind::FailedPrecondition, "the sandbox is not made yet".into());
        }
        if self.streams.values().filter(|s| matches!(s, Stream::Port(_))).count() >= MOST {
            return refuse(Kind::ResourceExhausted, format!("there are {MOST} connections to ports already"));
        }
        let key = asker.connection;
        let near = Watch::new(socket, Source::Stream(key));
        self.timers.add(clock::deadline(CONNECT_MS), Due::ConnectDeadline(key));
        self.try_places(near, asker, number, (0, None))
    }

    /// Tries the places that are left.
    fn try_places(
        &mut self,
        near: Watch,
        asker: Asker,
        port: u16,
        (first, mut refused): (usize, Option<Errno>),
    ) -> SysResult<()> {
        let key = asker.connection;
        for (place, address) in PLACES.iter().enumerate().skip(first) {
            let (far, is_there) = match connect(*address, port) {
                Ok(begun) => begun,
                Err(errno) => {
                    refused.get_or_insert(errno);
                    continue;
                }
            };
            let far = Watch::new(far, Source::Far(key));
            if is_there {
                return self.join_port(near, far, asker);
            }
            let mut connecting = Connecting { near, far, asker, port, place, refused };
            let watched =
                connecting.near.wait(&self.poller, Wait::End).and(connecting.far.wait(&self.poller, Wait::Room));
            return match watched {
                Ok(()) => {
                    self.streams.insert(key, Stream::Port(Port::Connecting(connecting)));
                    Ok(())
                }
                Err(_) => self.refuse_port(connecting, Errno::NOMEM),
            };
        }
        let why = refusal(port, refused.unwrap_or(Errno::CONNREFUSED));
        tell(&near, asker.id, Err(why));
        drop(near.release(&self.poller));
        Ok(())
    }

    fn refuse_port(&mut self, connecting: Connecting, errno: Errno) -> SysResult<()> {
        tell(&connecting.near, connecting.asker.id, Err(refusal(connecting.port, errno)));
        Port::Connecting(connecting).close(&self.poller);
        Ok(())
    }

    fn join_port(&mut self, near: Watch, far: Watch, asker: Asker) -> SysResult<()> {
        tell(&near, asker.id, done());
        let key = asker.connection;
        let joined = Port::Joined(Box::new(Joined::new(Ends { near, far })));
        let source = Source::Far(key);
        self.serve_port(key, joined, Ready { source, readable: true, writable: true, gone: false })
    }

    /// Connecting takes too long.
    pub(crate) fn connect_deadline(&mut self, key: u64) -> SysResult<()> {
        match self.streams.remove(&key) {
            Some(Stream::Port(Port::Connecting(connecting))) => self.refuse_port(connecting, Errno::TIMEDOUT),
            Some(other) => {
                self.streams.insert(key, other);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// An end of a port's stream is ready.
    pub(crate) fn serve_port(&mut self, key: u64, port: Port, ready: Ready) -> SysResult<()> {
        match port {
            Port::Connecting(connecting) => self.serve_connecting(connecting, ready),
            Port::Joined(joined) => self.serve_joined(key, joined, ready),
        }
    }

    fn serve_connecting(&mut self, connecting: Connecting, ready: Ready) -> SysResult<()> {
        if matches!(ready.source, Source::Stream(_)) {
            if ready.gone {
                Port::Connecting(connecting).close(&self.poller);
            } else {
                self.streams.insert(connecting.asker.connection, Stream::Port(Port::Connecting(connecting)));
            }
            return Ok(());
        }
        let Connecting { near, far, asker, port, place, refused } = connecting;
        let done = match sockopt::socket_error(&far) {
            Ok(Ok(())) if is_itself(&far) => Ok(Err(Errno::CONNREFUSED)),
            done => done,
        };
        match done {
            Ok(Ok(())) => self.join_port(near, far, asker),
            Ok(Err(errno)) | Err(errno) => {
                drop(far.release(&self.poller));
                self.try_places(near, asker, port, (place + 1, refused.or(Some(errno))))
            }
        }
    }

    fn serve_joined(&mut self, key: u64, mut joined: Box<Joined>, ready: Ready) -> SysResult<()> {
        self.scratch_used(); // the spare pipe rests with it
        if ready.gone {
            let far_failed = || !matches!(sockopt::socket_error(joined.far()), Ok(Ok(())));
            match ready.source {
                Source::Stream(_) => {
                    if joined.lose_near() {
                        self.timers.add(clock::deadline(LINGER_MS), Due::Linger(key));
                    }
                }
                _ if far_failed() => {
                    joined.close(&self.poller);
                    return Ok(());
                }
                _ => joined.far_has_gone(),
            }
        }
        match joined.pass(&self.poller, &mut self.spare_pipe) {
            Passed::On => {
                self.streams.insert(key, Stream::Port(Port::Joined(joined)));
            }
            Passed::Over => joined.close(&self.poller),
        }
        Ok(())
    }
}
