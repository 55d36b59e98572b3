//! From a stream of bytes to CRI log records: `<time> <stream> <P|F> <content>\n`. PURE.

use crate::timestamp::{LENGTH, Timestamp};

/// Which stream a record names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// `stdout`.
    Stdout,
    /// `stderr`.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static [u8; 6] {
        match self {
            Self::Stdout => b"stdout",
            Self::Stderr => b"stderr",
        }
    }
}

/// Bytes of a record beside its content: time, stream, tag, blanks, line feed.
pub(crate) const OVERHEAD: usize = LENGTH + 1 + 6 + 1 + 1 + 1 + 1;

/// Where records go: a buffer that is emptied when full, never in the middle of a record.
pub(crate) trait Sink {
    /// Takes one whole record in pieces; the sum of them is at most the largest record.
    fn record(&mut self, pieces: [&[u8]; 4]);
}

/// What a stream's next record begins with: bytes without a line feed so far.
#[derive(Debug)]
pub(crate) struct Records {
    stream: Stream,
    limit: usize,
    pending: Vec<u8>,
}

impl Records {
    /// For a stream whose content is cut into pieces of at most `limit` bytes.
    pub(crate) fn new(stream: Stream, limit: usize) -> Self {
        Self { stream, limit, pending: Vec::new() }
    }

    /// Takes what was read at `nanos` and puts out the records that are complete.
    pub(crate) fn take(&mut self, mut bytes: &[u8], clock: &mut Timestamp, nanos: i64, sink: &mut impl Sink) {
        let head = header(clock.format(nanos), self.stream);
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.line(line, &head, sink);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.hold(bytes, &head, sink);
    }

    /// Puts out what is left at the end of the stream.
    pub(crate) fn finish(&mut self, clock: &mut Timestamp, nanos: i64, sink: &mut impl Sink) {
        if self.pending.is_empty() {
            return;
        }
        let head = header(clock.format(nanos), self.stream);
        sink.record([&head, b"F ", &self.pending, b"\n"]);
        self.pending = Vec::new();
    }

    fn line(&mut self, mut line: &[u8], head: &[u8], sink: &mut impl Sink) {
        if !self.pending.is_empty() {
            line = self.hold(line, head, sink);
            sink.record([head, b"F ", &self.pending, b"\n"]);
            debug_assert!(line.is_empty());
            self.pending = Vec::new();
            return;
        }
        while line.len() > self.limit {
            let (piece, rest) = line.split_at(self.limit);
            sink.record([head, b"P ", piece, b"\n"]);
            line = rest;
        }
        sink.record([head, b"F ", line, b"\n"]);
    }

    /// Keeps bytes for later, putting out full pieces only when it is sure that more follows.
    fn hold<'a>(&mut self, mut bytes: &'a [u8], head: &[u8], sink: &mut impl Sink) -> &'a [u8] {
        while self.pending.len() + bytes.len() > self.limit {
            let (fill, rest) = bytes.split_at(self.limit - self.pending.len());
            self.pending.extend_from_slice(fill);
            sink.record([head, b"P ", &self.pending, b"\n"]);
            self.pending.clear();
            bytes = rest;
        }
        self.pending.extend_from_slice(bytes);
        &[]
    }
}

fn header(time: &[u8; LENGTH], stream: Stream) -> [u8; LENGTH + 8] {
    let mut head = [b' '; LENGTH + 8];
    head[..LENGTH].copy_from_slice(time);
    head[LENGTH + 1..LENGTH + 7].copy_from_slice(stream.name());
    head
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    impl Sink for Vec<String> {
        fn record(&mut self, pieces: [&[u8]; 4]) {
            let whole: Vec<u8> = pieces.concat();
            assert!(whole.ends_with(b"\n"));
            self.push(String::from_utf8(whole[LENGTH + 1..whole.len() - 1].to_vec()).unwrap());
        }
    }

    fn run(chunks: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        let mut clock = Timestamp::default();
        let mut records = Records::new(Stream::Stdout, 4);
        for chunk in chunks {
            records.take(chunk.as_bytes(), &mut clock, 0, &mut out);
        }
        records.finish(&mut clock, 0, &mut out);
        out
    }

    #[test]
    fn records_are_whole_lines_or_full_pieces() {
        let table: [(&[&str], &[&str]); 10] = [
            (&["a\nb\n"], &["F a", "F b"]),
            (&["\n\n"], &["F ", "F "]),
            (&["ab", "cd\n"], &["F abcd"]),
            (&["ab", "cd", "e\n"], &["P abcd", "F e"]),
            (&["abcde\n"], &["P abcd", "F e"]),
            (&["abcdefghi"], &["P abcd", "P efgh", "F i"]),
            (&["abcd"], &["F abcd"]),
            (&["abcd", "\n"], &["F abcd"]),
            (&["a\r\nb"], &["F a\r", "F b"]),
            (&["abc", "defghijk\nz"], &["P abcd", "P efgh", "F ijk", "F z"]),
        ];
        for (chunks, expected) in table {
            let expected: Vec<String> = expected.iter().map(|e| format!("stdout {e}")).collect();
            assert_eq!(run(chunks), expected, "{chunks:?}");
        }
    }

    #[test]
    fn however_it_is_cut_the_content_is_the_same() {
        let text = "one\ntwo two\n\nthree three three\nend";
        let whole = run(&[text]);
        for at in 1..text.len() {
            assert_eq!(run(&[&text[..at], &text[at..]]), whole, "{at}");
        }
    }
}
