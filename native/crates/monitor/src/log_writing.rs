//! What a log's writer process does: it writes what it is given, keeps books of what it had to
//! give up, puts the marker lines into the log and tells the monitor.

use crate::clock;
use crate::log::{marker, write_file};
use crate::timestamp::Timestamp;
use podwright_container::place;
use podwright_sys::clone;
use podwright_sys::signal;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// The largest batch: the monitor's room for records.
const BATCH: usize = 64 * 1024;

/// How often a write is tried when writing begins to fail. While it goes on failing, once: what waits is not held up.
const TRIES: u32 = 10;

/// What comes before the records of a message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head {
    /// Bytes that were dropped since the last message and before these records.
    pub(crate) missing: u64,
    /// Why they were.
    pub(crate) errno: i32,
    /// The records' time.
    pub(crate) nanos: i64,
}

impl Head {
    const LENGTH: usize = 24;

    /// As it is sent.
    pub(crate) fn bytes(self) -> [u8; Self::LENGTH] {
        words([self.missing, i64::from(self.errno).cast_unsigned(), self.nanos.cast_unsigned()])
    }

    fn of(bytes: &[u8]) -> Self {
        Self { missing: word(bytes, 0), errno: word(bytes, 1) as i32, nanos: word(bytes, 2).cast_signed() }
    }
}

/// How things stand, in bytes since the writer's beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Report {
    /// Of records written or lost.
    pub(crate) settled: u64,
    /// Of records lost.
    pub(crate) lost: u64,
    /// That marker lines in the log have told of.
    pub(crate) told: u64,
    /// Of the last write, 0 when it worked.
    pub(crate) errno: i32,
}

impl Report {
    /// Of a message.
    pub(crate) const LENGTH: usize = 32;

    /// As it is sent.
    pub(crate) fn bytes(self) -> [u8; Self::LENGTH] {
        words([self.settled, self.lost, self.told, i64::from(self.errno).cast_unsigned()])
    }

    /// As it came.
    pub(crate) fn of(bytes: &[u8; Self::LENGTH]) -> Self {
        Self { settled: word(bytes, 0), lost: word(bytes, 1), told: word(bytes, 2), errno: word(bytes, 3) as i32 }
    }

    /// The errno of the last write, if it failed.
    pub(crate) fn failing(self) -> Option<i32> {
        Some(self.errno).filter(|errno| *errno != 0)
    }
}

fn words<const WORDS: usize, const BYTES: usize>(words: [u64; WORDS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.chunks_exact(8).nth(at).and_then(|piece| piece.try_into().ok());
    found.map_or(0, u64::from_ne_bytes)
}

/// The writer process, until the monitor closes its end.
pub(crate) fn run(file: &OwnedFd, socket: &OwnedFd) -> ! {
    if place::strip(&[file.as_fd(), socket.as_fd()]).is_err() {
        clone::exit_now(1);
    }
    signal::reset_all();
    serve(file, socket);
    clone::exit_now(0);
}

/// Writes what comes over the socket until its other end is closed.
pub(crate) fn serve(file: &OwnedFd, socket: &OwnedFd) {
    let mut writing = Writing { file, socket, report: Report::default(), announced: 0, reason: 0, unsaid: false };
    let mut message = vec![0; Head::LENGTH + BATCH];
    let mut clock = Timestamp::default();
    loop {
        let count = writing.next(&mut message);
        if count < Head::LENGTH {
            break;
        }
        let (head, records) = message.get(..count).unwrap_or_default().split_at(Head::LENGTH);
        writing.take(Head::of(head), records, &mut clock);
    }
    writing.end(&mut clock);
}

struct Writing<'a> {
    file: &'a OwnedFd,
    socket: &'a OwnedFd,
    report: Report,
    /// Bytes that the monitor dropped.
    announced: u64,
    /// The errno of what was last dropped.
    reason: i32,
    /// The monitor has not heard all.
    unsaid: bool,
}

impl Writing<'_> {
    /// Waits for a message; before that the monitor hears how things stand. 0: there are no more.
    fn next(&mut self, message: &mut [u8]) -> usize {
        let mut flags = RecvFlags::DONTWAIT;
        loop {
            match recv(self.socket, &mut *message, flags) {
                Ok((count, _)) => return count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.say(SendFlags::DONTWAIT);
                    flags = RecvFlags::empty();
                }
                Err(_) => return 0,
            }
        }
    }

    fn take(&mut self, head: Head, records: &[u8], clock: &mut Timestamp) {
        self.announced += head.missing;
        if head.missing > 0 {
            self.reason = head.errno;
        }
        let before = self.report.errno;
        let tries = if before == 0 { TRIES } else { 1 };
        self.write(head.nanos, records, clock, tries);
        self.unsaid = true;
        if before == 0 && self.report.errno != 0 {
            self.say(SendFlags::DONTWAIT);
        }
    }

    /// Writes records, with a marker line before them when something is missing.
    fn write(&mut self, nanos: i64, records: &[u8], clock: &mut Timestamp, tries: u32) {
        let missing = self.announced + self.report.lost - self.report.told;
        let head = if missing > 0 { marker(clock.format(nanos), missing, self.reason) } else { Vec::new() };
        let text = if head.is_empty() { Cow::from(records) } else { Cow::from([&head, records].concat()) };
        let (whole, failed) = write_patiently(self.file, &text, tries);
        if whole >= head.len() {
            self.report.told += missing;
        }
        self.report.settled += records.len() as u64;
        self.report.lost += (text.len() - whole.max(head.len())) as u64;
        self.report.errno = failed.map_or(0, Errno::raw_os_error);
        self.reason = failed.map_or(self.reason, Errno::raw_os_error);
    }

    /// The last there is to write is what is missing; the monitor hears how it ended.
    fn end(&mut self, clock: &mut Timestamp) {
        if self.announced + self.report.lost > self.report.told {
            self.write(clock::now(), &[], clock, 1);
        }
        self.unsaid = true;
        self.say(SendFlags::empty());
    }

    fn say(&mut self, flags: SendFlags) {
        // without room for it the next one says it too
        while self.unsaid {
            match send(self.socket, &self.report.bytes(), flags | SendFlags::NOSIGNAL) {
                Ok(_) => self.unsaid = false,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
    }
}

/// As [`write_file`], tried again a tenth of a second after a failure.
fn write_patiently(file: &OwnedFd, bytes: &[u8], tries: u32) -> (usize, Option<Errno>) {
    let (mut whole, mut left) = (0, tries);
    loop {
        let (done, failed) = write_file(file, bytes.get(whole..).unwrap_or_default());
        whole += done;
        left -= 1;
        if failed.is_none() || left == 0 {
            return (whole, failed);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
