//! Streams, execs, attachments and ports opened, used, dropped and cancelled in any order: nothing of them stays.
#![cfg(feature = "host-tests")]
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use podwright_protocol::message::open_stream::Name;
use podwright_protocol::message::request::Call;
use podwright_protocol::message::{CancelExec, WaitExec};
use rig::Rig;
use rig::bundle::Bundle;
use rig::streams::{exec_of, tty_of};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// xorshift: the same numbers for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

const SCRIPTS: [&str; 8] = [
    "cat",
    "exit 3",
    "yes",
    "sleep 0.05; echo x; echo y >&2",
    "sleep 30 & echo child",
    "head -c 300000 /dev/zero",
    "exec <&- >&- 2>&-; sleep 0.2",
    "head -c 10; kill -9 $$",
];

struct Churn {
    rig: Rig,
    containers: Vec<Bundle>,
    numbers: Numbers,
    ids: Vec<String>,
    streams: Vec<UnixStream>,
    port: u32,
}

impl Churn {
    fn id(&mut self) -> String {
        let at = self.numbers.below(self.ids.len().max(1));
        self.ids.get(at).cloned().unwrap_or_else(|| "nobody".into())
    }

    fn step(&mut self, n: usize) {
        match self.numbers.below(16) {
            0..=2 => self.begin(n),
            3 => {
                let at = self.numbers.below(self.containers.len());
                let with_input = self.numbers.below(2) == 0;
                // its container may have ended
                let _ = self.rig.attach(&self.containers[at], &format!("a{n}"), with_input);
                self.ids.push(format!("a{n}"));
            }
            4..=8 => self.open(),
            9 => self.streams.extend(self.rig.port(self.port)),
            10 | 11 => self.use_one(),
            12 => {
                if !self.streams.is_empty() {
                    let at = self.numbers.below(self.streams.len());
                    self.streams.swap_remove(at);
                }
            }
            13 => {
                let exec_id = self.id();
                self.rig.client.send(Call::WaitExec(WaitExec { exec_id, drain_ms: 50 })).unwrap();
            }
            14 => {
                let exec_id = self.id();
                self.rig.client.send(Call::CancelExec(CancelExec { exec_id })).unwrap();
            }
            _ if n.is_multiple_of(7) => self.rig.reconnect(),
            _ => {
                let (id, width) = (self.id(), 70_000);
                let _ = self.rig.resize("", &id, u32::try_from(self.numbers.below(width)).unwrap(), 20);
            }
        }
    }

    fn begin(&mut self, n: usize) {
        let at = self.numbers.below(self.containers.len());
        let script = SCRIPTS[self.numbers.below(SCRIPTS.len())];
        let id = format!("e{n}");
        let args = ["sh", "-c", script];
        let mut request = match self.numbers.below(3) {
            0 => tty_of(&self.containers[at], &id, &args),
            _ => exec_of(&self.containers[at], &id, &args),
        };
        request.stdin = self.numbers.below(4) > 0;
        request.stdout = self.numbers.below(4) > 0;
        self.rig.begin(request).unwrap();
        self.ids.push(id);
    }

    fn open(&mut self) {
        let name = [Name::Stdin, Name::Stdout, Name::Stderr][self.numbers.below(3)];
        let id = self.id();
        self.streams.extend(self.rig.try_stream(&id, name));
    }

    fn use_one(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let at = self.numbers.below(self.streams.len());
        let stream = &mut self.streams[at];
        stream.set_nonblocking(true).unwrap();
        // whatever comes of it: it may be full, empty, or over
        let _ = match self.numbers.below(3) {
            0 => stream.write(&[b'x'; 70_000]).map(drop),
            1 => stream.read(&mut [0; 70_000]).map(drop),
            _ => stream.shutdown(Shutdown::Write),
        };
    }
}

#[test]
fn whatever_happens_nothing_stays() {
    for seed in [1, 77, 4242] {
        let mut rig = Rig::ready_with(|request| {
            request.net = podwright_protocol::message::NamespaceMode::Node.into();
            request.netns_pin.clear();
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = u32::from(listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                std::thread::spawn(move || std::io::copy(&mut connection.try_clone().unwrap(), &mut connection));
            }
        });
        let mut containers = Vec::new();
        for (n, tty) in [false, true, false].into_iter().enumerate() {
            let mut bundle = rig.script("while read a; do echo $a; done; head -c 500000 /dev/zero; sleep 1000");
            (bundle.request.stdin, bundle.request.stdin_once, bundle.request.terminal) = (true, n == 2, tty);
            bundle.spec["process"]["terminal"] = serde_json::json!(tty);
            rig.run(&bundle);
            containers.push(bundle);
        }
        let before = rig.descriptors();
        let mut churn = Churn { rig, containers, numbers: Numbers(seed), ids: Vec::new(), streams: Vec::new(), port };
        for n in 0..600 {
            churn.step(n);
        }
        let Churn { mut rig, containers, ids, streams, .. } = churn;
        // a command in each container still runs as it should
        for bundle in &containers {
            assert_eq!(rig.exec(bundle, &["echo", "ok"], |_| {}).unwrap().stdout, b"ok\n");
        }
        drop(streams);
        for id in &ids {
            rig.cancel(id).unwrap();
        }
        rig.reconnect();
        std::thread::sleep(Duration::from_millis(100));
        rig.await_descriptors(before);
        rig.until(|rig| rig.heap() < if cfg!(debug_assertions) { 1024 } else { 200 });
    }
}
