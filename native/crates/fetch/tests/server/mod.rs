//! A tiny HTTP/1.1 server for tests: what it answers is a function of the request. Plain or TLS, on loopback.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    /// How many came before it.
    pub nth: usize,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// `bytes=N-`, or 0.
    pub fn range(&self) -> usize {
        self.header("range").and_then(|v| v.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0)
    }
}

/// What is answered.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Send only so many bytes of the body, then close.
    pub cut: Option<usize>,
    /// Send only so many bytes of the body, then nothing, connection open.
    pub stall: Option<usize>,
    /// Rest so long after each 64 KiB of the body.
    pub pause: Option<Duration>,
}

impl Reply {
    pub fn new(status: u16, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), body: body.to_vec(), cut: None, stall: None, pause: None }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn redirect(location: &str) -> Self {
        Self::new(307, b"moved").header("Location", location)
    }

    /// What is asked for of a blob, slowly, by a server that says it can do ranges; `bytes=N-M` too.
    pub fn slow_range(got: &Got, blob: &[u8], pause: Duration) -> Self {
        let all = blob.len();
        let asked = got.header("range").and_then(|v| v.strip_prefix("bytes=")?.split_once('-'));
        let (from, to) = asked.map_or((0, all), |(from, last)| {
            (from.parse().expect("begin"), last.parse::<usize>().map_or(all, |last| last + 1))
        });
        let mut reply =
            Self::new(if asked.is_some() { 206 } else { 200 }, &blob[from..to]).header("Accept-Ranges", "bytes");
        if asked.is_some() {
            reply = reply.header("Content-Range", &format!("bytes {from}-{}/{all}", to - 1));
        }
        reply.pause = Some(pause);
        reply
    }

    /// The blob from the range asked for.
    pub fn ranged(got: &Got, blob: &[u8]) -> Self {
        let from = got.range();
        if from == 0 {
            return Self::new(200, blob);
        }
        let range = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
        Self::new(206, &blob[from..]).header("Content-Range", &range)
    }
}

type Answer = dyn Fn(&Got) -> Reply + Send + Sync;

/// A server until dropped.
pub struct Server {
    pub authority: String,
    pub seen: Arc<Mutex<Vec<Got>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn http(answer: impl Fn(&Got) -> Reply + Send + Sync + 'static) -> Self {
        Self::start("127.0.0.1:0", None, answer)
    }

    pub fn start(
        bind: &str,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Got) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(bind).expect("bind");
        let address = listener.local_addr().expect("address");
        listener.set_nonblocking(true).expect("nonblocking");
        let (seen, stop) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::new(AtomicBool::new(false)));
        let answer: Arc<Answer> = Arc::new(answer);
        let (seen_too, stop_too) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            while !stop_too.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                let (answer, seen, stop, tls) =
                    (Arc::clone(&answer), Arc::clone(&seen_too), Arc::clone(&stop_too), tls.clone());
                connections.push(std::thread::spawn(move || {
                    stream.set_nonblocking(false).expect("blocking");
                    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
                    match tls {
                        None => serve(stream, &*answer, &seen, &stop),
                        Some(config) => {
                            let connection = ServerConnection::new(config).expect("tls");
                            serve(StreamOwned::new(connection, stream), &*answer, &seen, &stop);
                        }
                    }
                }));
            }
            for connection in connections {
                let _ = connection.join();
            }
        });
        Self { authority: address.to_string(), seen, stop, thread: Some(thread) }
    }

    pub fn requests(&self) -> Vec<Got> {
        self.seen.lock().expect("lock").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: impl Read + Write, answer: &Answer, seen: &Mutex<Vec<Got>>, stop: &AtomicBool) {
    let Some(got) = read_request(&mut stream, seen) else { return };
    let reply = answer(&got);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let end = reply.cut.or(reply.stall).unwrap_or(reply.body.len());
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| match reply.pause {
            None => stream.write_all(&reply.body[..end]),
            Some(pause) => reply.body[..end].chunks(64 << 10).try_for_each(|chunk| {
                std::thread::sleep(pause);
                stream.write_all(chunk)
            }),
        })
        .and_then(|()| stream.flush());
    while sent.is_ok() && reply.stall.is_some() && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read_request(stream: &mut impl Read, seen: &Mutex<Vec<Got>>) -> Option<Got> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).ok()?;
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let mut seen = seen.lock().expect("lock");
    let got = Got { method, path, headers, nth: seen.len() };
    seen.push(got.clone());
    Some(got)
}

/// A CONNECT proxy: the authority asked for is dialled, whatever it is called.
pub fn proxy(answer: u16, seen: Arc<Mutex<Vec<Got>>>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let authority = listener.local_addr().expect("address").to_string();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("accept");
        let Some(got) = read_request(&mut client, &seen) else { return };
        let _ = write!(client, "HTTP/1.1 {answer} X\r\n\r\n");
        if answer != 200 {
            return;
        }
        let mut upstream = TcpStream::connect(&got.path).expect("dial");
        let (mut from, mut to) = (client.try_clone().expect("clone"), upstream.try_clone().expect("clone"));
        let up = std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
        });
        let _ = std::io::copy(&mut upstream, &mut client);
        let _ = client.shutdown(std::net::Shutdown::Both);
        let _ = up.join();
    });
    (authority, thread)
}
