//! Several ranges of one blob at once, where a single connection is what holds a layer up: far registries and object
//! stores give each connection only so much. Pieces still leave in order, and no more than a few ranges wait in memory.
//! Only ever an attempt: whatever goes wrong here, the blob is gone on with over one connection, which reports it.

use crate::agent::cause_of_io;
use crate::cause::Cause;
use crate::download::{Received, Sink, fill, range_starts};
use crate::job::Job;
use crate::piece::Piece;
use crate::redirect::Client;
use crate::request::Source;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, scope};
use std::time::{Duration, Instant};

/// Connections besides which the first one ends. With their ranges, 8 MiB at most wait for their turn.
const CONNECTIONS: u64 = 3;
/// Bytes of a range: enough to outweigh the round trip of asking for it.
const RANGE: u64 = 2 << 20;
/// Bytes over one connection before it is judged: its first ones come slowly.
const JUDGED_AFTER: u64 = 8 << 20;
/// Bytes that must be left for it to be worth the connections.
const WORTH_IT: u64 = 16 << 20;
/// Bytes a second with which a connection is fast enough: inflating is not much faster.
const FAST: f64 = 100e6;

/// How one connection does: whether bytes come slower than they are taken.
pub(crate) struct Pace {
    began: Instant,
    reading: Duration,
    bytes: u64,
}

impl Pace {
    /// A connection whose body begins.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), reading: Duration::ZERO, bytes: 0 }
    }

    /// Runs a read and counts its time; `bytes` is what the connection gave until now.
    pub(crate) fn read<T>(&mut self, bytes: u64, read: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = read();
        self.reading += begin.elapsed();
        self.bytes = bytes;
        done
    }

    /// Whether the connection, and not what follows it, is the brake, with enough of the blob left.
    pub(crate) fn is_the_brake(&self, left: u64) -> bool {
        let passed = self.began.elapsed().as_secs_f64();
        self.bytes >= JUDGED_AFTER
            && left >= WORTH_IT
            && self.reading.as_secs_f64() > 0.7 * passed
            && (self.bytes as f64) < FAST * passed
    }
}

type Range = Result<Vec<Piece>, Cause>;

/// Goes on from where the blob is, by ranges. An error of the sink is final; any of the network is left to the caller,
/// who goes on from what was received.
pub(crate) fn by_ranges(
    source: &Source,
    received: &mut Received<'_>,
    job: &Job,
    sink: &mut Sink<'_>,
) -> Result<(), Cause> {
    let (from, size) = (received.got, received.size);
    let stop = AtomicBool::new(false);
    scope(|scope| {
        let (mut ranges, mut agents) = (Vec::new(), Vec::new());
        for nth in 0..CONNECTIONS {
            let Ok(client) = Client::new(source, job) else { break };
            let (sender, receiver) = sync_channel(0);
            agents.push(client.agent_of_host());
            let stop = &stop;
            let work = move || worker(client, Part { from, size, nth }, job, &sender, stop);
            if Builder::new().name("podwright-range".to_owned()).spawn_scoped(scope, work).is_err() {
                break;
            }
            ranges.push(receiver);
        }
        let delivered = if ranges.len() as u64 == CONNECTIONS { deliver(&ranges, received, sink) } else { Ok(()) };
        stop.store(true, Relaxed);
        drop(ranges);
        if received.got < size {
            // Whoever still waits for bytes is not waited for.
            agents.into_iter().for_each(ureq::Agent::shutdown);
        }
        delivered
    })
}

/// Takes the ranges in turn; ends early, without an error, at the first that could not be had.
fn deliver(ranges: &[Receiver<Range>], received: &mut Received<'_>, sink: &mut Sink<'_>) -> Result<(), Cause> {
    for receiver in ranges.iter().cycle() {
        if received.got == received.size {
            break;
        }
        let Ok(Ok(pieces)) = receiver.recv() else { break };
        for piece in pieces {
            received.take(piece, sink)?;
        }
    }
    Ok(())
}

/// Which ranges a worker gets: every [`CONNECTIONS`]th from its own on.
struct Part {
    from: u64,
    size: u64,
    nth: u64,
}

fn worker(mut client: Client<'_>, part: Part, job: &Job, out: &SyncSender<Range>, stop: &AtomicBool) {
    let mut begin = part.from + part.nth * RANGE;
    while begin < part.size && !stop.load(Relaxed) {
        let end = part.size.min(begin + RANGE);
        let range = one(&mut client, (begin, end), part.size, job, stop);
        let failed = range.is_err();
        if out.send(range).is_err() || failed {
            return;
        }
        begin += CONNECTIONS * RANGE;
    }
}

fn one(client: &mut Client<'_>, (begin, end): (u64, u64), size: u64, job: &Job, stop: &AtomicBool) -> Range {
    let response = client.get_range(begin, Some(end), job)?;
    if response.status().as_u16() != 206 {
        return Err(Cause::Protocol("the server gives no ranges".to_owned()));
    }
    range_starts(response.headers(), begin, size)?;
    let mut body = response.into_body().into_reader().take(end - begin);
    let mut pieces = Vec::new();
    let mut got = 0;
    loop {
        if stop.load(Relaxed) {
            return Err(Cause::OtherStage);
        }
        let mut piece = job.pool().piece()?;
        let ended = fill(&mut body, &mut piece, job)?;
        got += piece.len() as u64;
        if !piece.is_empty() {
            pieces.push(piece);
        }
        if ended {
            break;
        }
    }
    // The connection serves the next range only if this one was read to its end.
    let rest = body.into_inner().read(&mut [0]).map_err(cause_of_io)?;
    if got == end - begin && rest == 0 { Ok(pieces) } else { Err(Cause::CutOff { got, expected: end - begin }) }
}
