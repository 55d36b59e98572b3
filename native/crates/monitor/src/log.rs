//! A container's log file: records in whole writes. Trouble with the file never stops the
//! container: what cannot be written is dropped, counted, and told when writing works again.

use crate::clock;
use crate::log_writer::{self, LogWriter, News};
use crate::log_writing::Head;
use crate::records::{OVERHEAD, Records, Sink, Stream};
use crate::timestamp::{LENGTH, Timestamp};
use podwright_sys::errno::SysError;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Content of a record when the request names no limit.
const DEFAULT_LIMIT: usize = 16 * 1024;

/// A write that takes longer, in nanoseconds, is the last one that the loop waits for.
const SLOW_NANOS: i64 = 250_000_000;

/// Writers that may be at work at once on files that were replaced.
const PAST: usize = 4;

/// Where records are written.
#[derive(Debug)]
pub(crate) enum Target {
    /// The log file.
    File(OwnedFd),
    /// A process that writes to it.
    Process(LogWriter),
}

/// What a log tells its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Why it could not be written.
    pub(crate) errno: i32,
    /// Bytes of records dropped so far.
    pub(crate) dropped: u64,
}

/// The log of one container.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<Target>,
    /// Writers that are given nothing more and are still at work.
    past: Vec<LogWriter>,
    stdout: Records,
    stderr: Records,
    clock: Timestamp,
    books: Books,
}

/// What was lost, and whether writing works.
#[derive(Debug, Clone, Copy, Default)]
struct Books {
    /// Bytes of records dropped so far.
    dropped: u64,
    /// How many of them a marker line has told of, or will without more from here: that of a writer process.
    told: u64,
    /// The errno of the last write, if it failed.
    failing: Option<i32>,
    /// The errno of what was last dropped.
    reason: i32,
    /// How many dropped bytes the owner has heard of.
    said: u64,
}

impl Books {
    fn lose(&mut self, bytes: u64, errno: i32) {
        self.dropped += bytes;
        self.failing = Some(errno);
        self.reason = errno;
    }

    /// Takes down what a writer says of its work.
    fn take(&mut self, news: &News) {
        self.dropped += news.lost;
        self.told = (self.told + news.lost).saturating_sub(news.untold);
        if let Some(errno) = news.failing.flatten() {
            self.reason = errno;
        }
    }
}

impl Log {
    /// A log without a file yet: what comes is dropped uncounted until [`Log::open`].
    pub(crate) fn new(limit: u32, room: usize) -> Self {
        let wanted = if limit == 0 { DEFAULT_LIMIT } else { limit as usize };
        let limit = wanted.min(room - OVERHEAD);
        Self {
            file: None,
            past: Vec::new(),
            stdout: Records::new(Stream::Stdout, limit),
            stderr: Records::new(Stream::Stderr, limit),
            clock: Timestamp::default(),
            books: Books::default(),
        }
    }

    /// Whether there is a file.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// From now on records go to this file; when it is remote, through a process of its own.
    pub(crate) fn open(&mut self, file: OwnedFd, remote: bool) {
        self.retire();
        self.file = Some(if remote { log_writer::start(file) } else { Target::File(file) });
    }

    /// From now on records go to this writer.
    #[cfg(test)]
    pub(crate) fn write_by(&mut self, writer: LogWriter) {
        self.file = Some(Target::Process(writer));
    }

    /// What went to a file so far is all that goes there.
    fn retire(&mut self) {
        if let Some(Target::Process(writer)) = self.file.take() {
            writer.finish();
            self.past.push(writer);
        }
    }

    /// The writers that may say something.
    pub(crate) fn writers(&mut self) -> impl Iterator<Item = &mut LogWriter> {
        let current = match &mut self.file {
            Some(Target::Process(writer)) => Some(writer),
            _ => None,
        };
        self.past.iter_mut().chain(current)
    }

    /// Hears the writers. The answer is as that of [`Log::take`].
    pub(crate) fn hear(&mut self) -> Option<Trouble> {
        let mut books = self.books;
        // each reopening adds one; where they do not end the oldest is not waited for
        let many = self.past.len().saturating_sub(PAST);
        for (at, writer) in self.past.iter_mut().enumerate() {
            books.take(&if at < many { writer.give_up() } else { writer.listen() });
        }
        if let Some(Target::Process(writer)) = &mut self.file {
            let news = writer.listen();
            books.take(&news);
            books.failing = news.failing.unwrap_or(books.failing);
        }
        self.settle(books)
    }

    /// Forgets writers that have ended.
    pub(crate) fn forget_ended(&mut self) {
        self.past.retain(|writer| !writer.has_ended());
    }

    /// Whether nothing is under way any more.
    pub(crate) fn is_done(&self) -> bool {
        self.file.is_none() && self.past.is_empty()
    }

    /// Ends it: what writers have not written counts as dropped. The answer is what the owner has not heard of.
    pub(crate) fn close(&mut self) -> Option<Trouble> {
        self.retire();
        let mut books = self.books;
        for writer in &mut self.past {
            books.take(&writer.give_up());
        }
        books.failing = None;
        self.settle(books)
    }

    /// Bytes of records dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.books.dropped
    }

    /// Logs what was read from a stream. `room` is where records are put together. The answer is
    /// what the owner shall know of trouble: that it begins, and the sum when it ends or has more than doubled.
    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8], room: &mut [u8]) -> Option<Trouble> {
        self.file.as_ref()?;
        let nanos = clock::now();
        let mut batch = Batch { room, used: 0, writer: Writer::of(self.file.as_mut(), self.books, nanos) };
        batch.begin(&mut self.clock);
        let records = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        records.take(bytes, &mut self.clock, nanos, &mut batch);
        batch.flush();
        let (books, slow) = (batch.writer.books, batch.writer.slow);
        if slow {
            self.file = self.file.take().map(|target| match target {
                Target::File(file) => log_writer::start(file),
                process => process,
            });
        }
        self.settle(books)
    }

    /// Logs what both streams ended with; nothing is logged after that.
    pub(crate) fn finish(&mut self, room: &mut [u8]) -> Option<Trouble> {
        self.file.as_ref()?;
        let nanos = clock::now();
        let mut batch = Batch { room, used: 0, writer: Writer::of(self.file.as_mut(), self.books, nanos) };
        batch.begin(&mut self.clock);
        self.stdout.finish(&mut self.clock, nanos, &mut batch);
        self.stderr.finish(&mut self.clock, nanos, &mut batch);
        batch.flush();
        let books = batch.writer.books;
        self.retire();
        self.settle(books)
    }

    fn settle(&mut self, mut books: Books) -> Option<Trouble> {
        let before = self.books.failing;
        let worth = match books.failing {
            Some(_) => before.is_none() || books.dropped > 2 * books.said,
            None => books.dropped > books.said,
        };
        if worth {
            books.said = books.dropped;
        }
        self.books = books;
        worth.then_some(Trouble { errno: books.reason, dropped: books.dropped })
    }
}

/// Records put together until the room is full.
struct Batch<'a> {
    room: &'a mut [u8],
    used: usize,
    writer: Writer<'a>,
}

impl Batch<'_> {
    /// After trouble, the first line says what is missing. A writer process says it itself.
    fn begin(&mut self, clock: &mut Timestamp) {
        let missing = self.writer.books.dropped - self.writer.books.told;
        if missing == 0 || matches!(self.writer.file, Some(Target::Process(_))) {
            return;
        }
        let line = marker(clock.format(self.writer.nanos), missing, self.writer.books.reason);
        self.record([&line, b"", b"", b""]);
        self.writer.marker = self.used;
    }

    fn flush(&mut self) {
        let bytes = self.room.get(..self.used).unwrap_or_default();
        self.writer.write(bytes);
        self.used = 0;
    }
}

impl Sink for Batch<'_> {
    fn record(&mut self, pieces: [&[u8]; 4]) {
        let length: usize = pieces.iter().map(|p| p.len()).sum();
        if self.used + length > self.room.len() {
            self.flush();
        }
        for piece in pieces {
            let end = self.used + piece.len();
            if let Some(place) = self.room.get_mut(self.used..end) {
                place.copy_from_slice(piece);
                self.used = end;
            }
        }
    }
}

/// The line that says what is missing.
pub(crate) fn marker(time: &[u8; LENGTH], missing: u64, errno: i32) -> Vec<u8> {
    let reason = SysError::new("", "", errno, "").reason();
    let text = format!(" stderr F podwright: {missing} bytes of this log were dropped: {reason}\n");
    [time.as_slice(), text.as_bytes()].concat()
}

struct Writer<'a> {
    file: Option<&'a mut Target>,
    books: Books,
    /// The records' time.
    nanos: i64,
    /// A write took so long that the next one shall not be waited for.
    slow: bool,
    /// Bytes at the beginning of the first write that are the marker line.
    marker: usize,
}

impl<'a> Writer<'a> {
    fn of(file: Option<&'a mut Target>, books: Books, nanos: i64) -> Self {
        Self { file, books, nanos, slow: false, marker: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        let marker = std::mem::take(&mut self.marker);
        match self.file.as_deref_mut().filter(|_| !bytes.is_empty()) {
            None => {}
            Some(Target::File(file)) => {
                let begin = clock::boot();
                let (whole, failed) = write_file(file, bytes);
                self.slow |= clock::boot() - begin > SLOW_NANOS;
                if marker > 0 && whole >= marker {
                    self.books.told = self.books.dropped;
                }
                match failed {
                    None => self.books.failing = None,
                    Some(errno) => {
                        self.books.lose((bytes.len() - whole.max(marker)) as u64, errno.raw_os_error());
                    }
                }
            }
            Some(Target::Process(writer)) => {
                let Books { dropped, told, reason: errno, .. } = self.books;
                match writer.hand_over(Head { missing: dropped - told, errno, nanos: self.nanos }, bytes) {
                    // whether the trouble is over the writer says when it has written
                    Ok(()) => self.books.told = dropped,
                    Err(errno) => self.books.lose(bytes.len() as u64, errno.raw_os_error()),
                }
            }
        }
    }
}

/// Writes to a file. Answers how many bytes are whole records, and what went wrong.
pub(crate) fn write_file(file: &OwnedFd, bytes: &[u8]) -> (usize, Option<Errno>) {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::write(file, bytes.get(done..).unwrap_or_default()) {
            Ok(0) => return (cut_torn_record(file, bytes, done), Some(Errno::NOSPC)),
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return (cut_torn_record(file, bytes, done), Some(errno)),
        }
    }
    (done, None)
}

/// A write that ended in the middle of a record leaves no half of it behind. Answers how many
/// bytes are whole records.
fn cut_torn_record(file: &OwnedFd, bytes: &[u8], done: usize) -> usize {
    let written = bytes.get(..done).unwrap_or_default();
    let whole = memchr::memrchr(b'\n', written).map_or(0, |at| at + 1);
    let torn = (done - whole) as u64;
    if torn > 0
        && let Ok(stat) = rustix::fs::fstat(file)
    {
        let length = (stat.st_size as u64).saturating_sub(torn);
        // The file system is in trouble already; a torn line is then what remains.
        let _ = rustix::fs::ftruncate(file, length);
    }
    whole
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    fn memfd() -> (OwnedFd, std::fs::File) {
        let fd = rustix::fs::memfd_create(c"log", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()));
        let reader = std::fs::File::open(path).unwrap();
        (fd, reader)
    }

    #[test]
    fn lines_go_to_the_file() {
        let (fd, mut reader) = memfd();
        let mut log = Log::new(0, 65536);
        let mut room = vec![0; 65536];
        log.open(fd, false);
        assert_eq!(log.take(Stream::Stdout, b"hello\nhalf", &mut room), None);
        assert_eq!(log.take(Stream::Stderr, b"oops\n", &mut room), None);
        assert_eq!(log.finish(&mut room), None);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let tails: Vec<&str> = text.lines().map(|l| &l[31..]).collect();
        assert_eq!(tails, ["stdout F hello", "stderr F oops", "stdout F half"]);
    }

    #[test]
    fn many_short_lines_fill_several_writes() {
        let (fd, mut reader) = memfd();
        let mut log = Log::new(0, 4096);
        let mut room = vec![0; 4096];
        log.open(fd, false);
        log.take(Stream::Stdout, "x\n".repeat(5000).as_bytes(), &mut room);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 5000);
        assert!(text.lines().all(|l| l.ends_with(" stdout F x")));
    }

    #[test]
    fn a_full_disk_drops_counts_and_tells() {
        let mut log = Log::new(0, 65536);
        let mut room = vec![0; 65536];
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        log.open(full.into(), false);
        let trouble = log.take(Stream::Stdout, b"lost\n", &mut room).unwrap();
        assert_eq!((trouble.errno, trouble.dropped), (28, (OVERHEAD + 4) as u64));
        let lost = (OVERHEAD + 4) as u64;
        assert_eq!(log.take(Stream::Stdout, b"lost\n", &mut room), None);
        assert_eq!(log.take(Stream::Stdout, b"lost\n", &mut room), Some(Trouble { errno: 28, dropped: 3 * lost }));
        assert_eq!(log.take(Stream::Stdout, b"lost\n", &mut room), None);
        let (fd, mut reader) = memfd();
        log.open(fd, false);
        // with the end of trouble the sum is told
        assert_eq!(log.take(Stream::Stdout, b"kept\n", &mut room), Some(Trouble { errno: 28, dropped: 4 * lost }));
        log.take(Stream::Stdout, b"more\n", &mut room);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let tails: Vec<&str> = text.lines().map(|l| &l[31..]).collect();
        let dropped = log.dropped();
        let marker = format!("stderr F podwright: {dropped} bytes of this log were dropped: no space left on device");
        assert_eq!(tails, [marker.as_str(), "stdout F kept", "stdout F more"]);
    }
}
