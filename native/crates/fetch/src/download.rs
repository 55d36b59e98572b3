//! A blob's bytes in order, whatever happens to the connections they come by.

use crate::agent::cause_of_io;
use crate::cause::Cause;
use crate::job::{Job, Stage};
use crate::piece::Piece;
use crate::ranges::{Pace, by_ranges};
use crate::redirect::{Client, text};
use crate::request::Source;
use std::io::{ErrorKind, Read};
use std::time::Duration;
use ureq::http::HeaderMap;

/// First pause before another connection; doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A server that asks for more patience than this gets its answer passed on instead.
const MAX_RETRY_AFTER: u64 = 60;

/// Takes the pieces of a blob, each once, in order.
pub(crate) type Sink<'a> = dyn FnMut(Piece) -> Result<(), Cause> + 'a;

/// Gets `size` bytes: broken connections are resumed by Range as often as the request allows.
pub(crate) fn download(source: &Source, size: u64, job: &Job, sink: &mut Sink<'_>) -> Result<(), Cause> {
    if !(1..=20).contains(&source.attempts) {
        return Err(Cause::Request("attempts must be 1 to 20"));
    }
    let mut client = Client::new(source, job)?;
    let mut progress = Received { got: 0, size, job };
    let mut pause = FIRST_PAUSE;
    let mut may_split = true;
    for attempt in 1..=source.attempts {
        job.stage(Stage::Connecting);
        let before = progress.got;
        let mut outcome = connection(&mut client, &mut progress, sink, may_split);
        if matches!(outcome, Ok(End::TooSlow)) {
            by_ranges(source, &mut progress, job, sink)?;
            // Once is enough: what did not go by ranges goes over one connection, which says what is wrong.
            may_split = false;
            job.check()?;
            outcome = if progress.got == size {
                Ok(End::Whole)
            } else {
                connection(&mut client, &mut progress, sink, may_split)
            };
        }
        let cause = match outcome {
            Ok(_) => return Ok(()),
            Err(cause) => cause,
        };
        job.check()?;
        let asked = match cause {
            Cause::Http { retry_after, .. } => retry_after,
            _ => None,
        };
        if attempt == source.attempts || !cause.is_transient() || asked.is_some_and(|s| s > MAX_RETRY_AFTER) {
            return Err(cause);
        }
        if progress.got > before {
            pause = FIRST_PAUSE;
        }
        job.stage(Stage::Waiting);
        job.wait(asked.map_or(pause, Duration::from_secs))?;
        pause = (pause * 2).min(LAST_PAUSE);
    }
    Err(Cause::Cancelled)
}

/// How far a blob has come.
pub(crate) struct Received<'a> {
    pub(crate) got: u64,
    pub(crate) size: u64,
    job: &'a Job,
}

impl Received<'_> {
    /// Counts a piece and hands it on.
    pub(crate) fn take(&mut self, piece: Piece, sink: &mut Sink<'_>) -> Result<(), Cause> {
        self.got += piece.len() as u64;
        if self.got > self.size {
            return Err(mismatch("size", format!("more than {}", self.size), self.size));
        }
        self.job.got(self.got);
        sink(piece)
    }
}

/// Why a connection was left without a failure.
enum End {
    Whole,
    /// It is slower than what takes its bytes, and its server can do ranges.
    TooSlow,
}

/// One connection, from where the last one broke.
fn connection(
    client: &mut Client<'_>,
    received: &mut Received<'_>,
    sink: &mut Sink<'_>,
    may_split: bool,
) -> Result<End, Cause> {
    let offset = received.got;
    let response = client.get(offset, received.job)?;
    let headers = response.headers();
    let ranges = may_split && (response.status().as_u16() == 206 || text(headers, "accept-ranges") == Some("bytes"));
    let mut passed_over = match response.status().as_u16() {
        200 => {
            full_length(headers, received.size)?;
            offset
        }
        206 if offset > 0 => {
            range_starts(headers, offset, received.size)?;
            0
        }
        status => {
            return Err(Cause::Http {
                status,
                retry_after: text(headers, "retry-after").and_then(|v| v.trim().parse().ok()),
            });
        }
    };
    received.job.stage(Stage::Downloading);
    let mut body = response.into_body().into_reader();
    let (mut pace, mut read) = (Pace::new(), 0);
    loop {
        let mut piece = received.job.pool().piece()?;
        let ended = pace.read(read, || fill(&mut body, &mut piece, received.job));
        read += piece.len() as u64;
        let skip = piece.len().min(usize::try_from(passed_over).unwrap_or(usize::MAX));
        passed_over -= skip as u64;
        piece.drop_front(skip);
        if !piece.is_empty() {
            received.take(piece, sink)?;
        }
        match ended {
            Ok(false) if ranges && pace.is_the_brake(received.size - received.got) => return Ok(End::TooSlow),
            Ok(false) => {}
            Ok(true) if received.got == received.size => return Ok(End::Whole),
            Ok(true) => return Err(Cause::CutOff { got: received.got, expected: received.size }),
            // All is there: how the connection ends does not matter any more.
            Err(cause) if received.got == received.size && cause.is_transient() => return Ok(End::Whole),
            Err(Cause::Connect(e)) if e.kind() == ErrorKind::UnexpectedEof => {
                return Err(Cause::CutOff { got: received.got, expected: received.size });
            }
            Err(cause) => return Err(cause),
        }
    }
}

/// Fills a piece; true at the end of the body. What was read before a failure counts.
pub(crate) fn fill(body: &mut impl Read, piece: &mut Piece, job: &Job) -> Result<bool, Cause> {
    while !piece.is_full() {
        job.check()?;
        match body.read(piece.room()) {
            Ok(0) => return Ok(true),
            Ok(count) => piece.filled(count),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(cause_of_io(e)),
        }
    }
    Ok(false)
}

fn full_length(headers: &HeaderMap, size: u64) -> Result<(), Cause> {
    match text(headers, "content-length").and_then(|v| v.parse::<u64>().ok()) {
        Some(length) if length != size => Err(mismatch("size", length.to_string(), size)),
        _ => Ok(()),
    }
}

/// `bytes <first>-<last>/<whole or *>` (RFC 9110, 14.4).
pub(crate) fn range_starts(headers: &HeaderMap, offset: u64, size: u64) -> Result<(), Cause> {
    let wrong = || Cause::Protocol("the answer is another range than asked for".to_owned());
    let range = text(headers, "content-range").and_then(|v| v.strip_prefix("bytes ")).ok_or_else(wrong)?;
    let (first, rest) = range.split_once('-').ok_or_else(wrong)?;
    let (_, whole) = rest.split_once('/').ok_or_else(wrong)?;
    match (first.parse::<u64>(), whole.parse::<u64>()) {
        (Ok(first), _) if first != offset => Err(wrong()),
        (Ok(_), Ok(whole)) if whole != size => Err(mismatch("size", whole.to_string(), size)),
        (Ok(_), _) => Ok(()),
        (Err(_), _) => Err(wrong()),
    }
}

fn mismatch(what: &'static str, got: String, expected: u64) -> Cause {
    Cause::Mismatch { what, got, expected: expected.to_string() }
}
