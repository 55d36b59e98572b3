//! The HTTP client of one fetch, and what its errors mean to us.

use crate::cause::Cause;
use crate::connect::TlsConnector;
use crate::reach::{Bounds, OutOfReach};
use crate::request::Source;
use crate::tls::tls_config;
use podwright_sys::errno::SysError;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Budget;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, NextTimeout, TcpConnector};
use ureq::{Agent, Error, Proxy, Timeout};

/// Response headers larger than this are refused; signed URLs in Location are a few kB.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// An agent of its own for a fetch: shutting it down interrupts that fetch and no other. `own_host` is false for hosts it
/// was redirected to.
pub(crate) fn agent(source: &Source, own_host: bool, bounds: &Arc<Bounds>) -> Result<Agent, Cause> {
    let stall = Some(Duration::from_millis(source.stall_ms.max(1)));
    let answer = Some(Duration::from_millis(source.answer_ms.max(1)));
    let connect = Some(Duration::from_millis(source.connect_ms.max(1)));
    let proxy = match &source.proxy {
        None => None,
        Some(url) => Some(Proxy::new(&url.0).map_err(|_| Cause::Request("the proxy's url is malformed"))?),
    };
    let config = Config::builder()
        .http_status_as_error(false)
        .https_only(!source.allow_http)
        .proxy(proxy)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("podwright/", env!("CARGO_PKG_VERSION")))
        // A transfer encoding of the blob would not have the blob's digest.
        .accept_encoding("identity")
        .timeout_resolve(connect)
        .timeout_connect(connect)
        .timeout_send_request(stall)
        .timeout_recv_response(answer)
        .timeout_per_read(stall)
        .timeout_per_write(stall)
        .max_response_header_size(MAX_HEADER_BYTES)
        .build();
    let tls = TlsConnector(tls_config(&source.tls, own_host)?);
    let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(tls);
    Ok(Agent::with_parts(
        config,
        connector,
        BoundResolver { inner: DefaultResolver::default(), bounds: Arc::clone(bounds) },
    ))
}

/// Keeps to where a host may be; marks failures of name resolution, which otherwise look like those of connecting.
#[derive(Debug)]
struct BoundResolver {
    inner: DefaultResolver,
    bounds: Arc<Bounds>,
}

#[derive(Debug)]
struct NameFailure(String);

impl fmt::Display for NameFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for NameFailure {}

impl Resolver for BoundResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let found = look_up(uri, config, timeout)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let addresses: Vec<_> = found.iter().map(SocketAddr::ip).collect();
        let within = self.bounds.within(authority, &addresses).map_err(|e| Error::Io(io::Error::other(e)))?;
        let mut usable = self.inner.empty();
        for (address, _) in found.iter().zip(within).filter(|(_, within)| *within) {
            usable.push(*address);
        }
        Ok(usable)
    }
}

/// No thread could be started, which is not the network's fault.
#[derive(Debug)]
struct NoThread(io::Error);

impl fmt::Display for NoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for NoThread {}

/// Resolves on a thread of its own, given up in time. The client would do the same, but panics without one.
fn look_up(uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
    let (reason, limit) = (timeout.reason, timeout.after);
    let (uri, config) = (uri.clone(), config.clone());
    let patient = NextTimeout { after: Budget::NotHappening, ..timeout };
    let (sender, receiver) = sync_channel(1);
    let work = move || {
        // Nobody waits any more after the timeout.
        let _ = sender.send(DefaultResolver::default().resolve(&uri, &config, patient));
    };
    let thread = Builder::new().name("podwright-names".to_owned()).spawn(work);
    thread.map_err(|e| Error::Io(io::Error::other(NoThread(e))))?;
    let found = receiver.recv_timeout(*limit).map_err(|_| Error::Timeout(reason))?;
    found.map_err(|e| match e {
        Error::Io(e) => Error::Io(io::Error::other(NameFailure(e.to_string()))),
        other => other,
    })
}

/// What an error of the client means; texts that may hold a URL are replaced.
pub(crate) fn cause_of(error: Error) -> Cause {
    match error {
        Error::Timeout(what) => Cause::Timeout(match what {
            Timeout::Resolve => "resolving the name",
            Timeout::Connect => "connecting",
            Timeout::PerWrite | Timeout::SendRequest => "sending the request",
            _ => "no bytes came",
        }),
        Error::HostNotFound => Cause::Dns("not found".to_owned()),
        Error::Io(e) => cause_of_io(e),
        Error::Tls(text) => Cause::Tls(text.to_owned()),
        Error::Rustls(e) => Cause::Tls(e.to_string()),
        Error::Pem(e) => Cause::Tls(e.to_string()),
        Error::TlsRequired => Cause::Tls("the connection is not encrypted".to_owned()),
        Error::ConnectionFailed => Cause::Connect(io::ErrorKind::NotConnected.into()),
        Error::ConnectProxyFailed(answer) => Cause::Connect(io::Error::other(format!("proxy: {answer}"))),
        Error::BadUri(_) | Error::RequireHttpsOnly(_) | Error::Http(_) => {
            Cause::Request("the url or a header is malformed")
        }
        Error::InvalidProxyUrl => Cause::Request("the proxy's url is malformed"),
        other => Cause::Protocol(other.to_string()),
    }
}

/// The same for reading a body, where the client's errors come wrapped.
pub(crate) fn cause_of_io(error: io::Error) -> Cause {
    let Some(inner) = error.get_ref() else { return Cause::Connect(error) };
    if let Some(name) = inner.downcast_ref::<NameFailure>() {
        return Cause::Dns(name.to_string());
    }
    if let Some(NoThread(e)) = inner.downcast_ref::<NoThread>() {
        return Cause::Disk(SysError::from_io("start a thread", "clone", e, "names"));
    }
    if inner.is::<OutOfReach>() {
        return Cause::Protocol(OutOfReach.to_string());
    }
    if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
        return Cause::Tls(tls.to_string());
    }
    if !inner.is::<Error>() {
        return Cause::Connect(error);
    }
    match error.into_inner().map(|inner| inner.downcast::<Error>()) {
        Some(Ok(client)) => cause_of(*client),
        _ => Cause::Protocol("a failure without a cause".to_owned()),
    }
}
