//! A process that writes a log for the monitor, when the log's filesystem may keep a writer
//! waiting (ruling 6), as the monitor sees it. What it is given and has not written yet is bounded
//! by its socket; what does not fit is dropped, as with a full disk. What the process itself gives
//! up comes back over the same socket.

use crate::log::Target;
use crate::log_writing::{self, Head, Report};
use podwright_sys::clone::{self, Forked};
use rustix::io::{Errno, IoSlice};
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, SocketType, recv, sendmsg,
    shutdown, socketpair,
};
use std::os::fd::OwnedFd;

/// Bytes that may wait to be written.
const QUEUE: usize = 1024 * 1024;

/// A writer, and what is known of its work.
#[derive(Debug)]
pub(crate) struct LogWriter {
    socket: OwnedFd,
    /// Bytes of records that it was given.
    given: u64,
    /// Bytes that were dropped before they reached it, and that it was asked to tell of.
    announced: u64,
    heard: Report,
    watched: bool,
    ended: bool,
}

/// What a writer had to say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct News {
    /// Bytes of records that it lost since it was last heard.
    pub(crate) lost: u64,
    /// Whether it is in trouble, and with which errno, if it said so.
    pub(crate) failing: Option<Option<i32>>,
    /// Bytes that no marker line of it will tell of any more: it has ended.
    pub(crate) untold: u64,
}

impl LogWriter {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, given: 0, announced: 0, heard: Report::default(), watched: false, ended: false }
    }

    /// Gives it records without waiting, all or none.
    pub(crate) fn hand_over(&mut self, head: Head, records: &[u8]) -> Result<(), Errno> {
        if self.ended {
            return Err(Errno::PIPE);
        }
        let (head, missing) = (head.bytes(), head.missing);
        let pieces = [IoSlice::new(&head), IoSlice::new(records)];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        while let Err(errno) = sendmsg(&self.socket, &pieces, &mut SendAncillaryBuffer::default(), flags) {
            if errno != Errno::INTR {
                return Err(errno);
            }
        }
        self.given += records.len() as u64;
        self.announced += missing;
        Ok(())
    }

    /// No more records: it ends when it has done its work.
    pub(crate) fn finish(&self) {
        // it may have ended already
        let _ = shutdown(&self.socket, Shutdown::Write);
    }

    /// Hears all that it has said.
    pub(crate) fn listen(&mut self) -> News {
        let mut news = News::default();
        let mut bytes = [0; Report::LENGTH];
        while !self.ended {
            match recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((count, _)) if count == Report::LENGTH => {
                    let report = Report::of(&bytes);
                    news.lost += report.lost.saturating_sub(self.heard.lost);
                    news.failing = Some(report.failing());
                    self.heard = report;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // it says all before it ends, unless it was killed
                Ok(_) | Err(_) => self.end(&mut news, Errno::PIPE),
            }
        }
        news
    }

    /// Hears it no more: what it has not written by now counts as lost.
    pub(crate) fn give_up(&mut self) -> News {
        let mut news = self.listen();
        if !self.ended {
            self.end(&mut news, Errno::TIMEDOUT);
        }
        news
    }

    fn end(&mut self, news: &mut News, errno: Errno) {
        self.ended = true;
        let left = self.given.saturating_sub(self.heard.settled);
        if left > 0 {
            news.failing = Some(Some(errno.raw_os_error()));
        }
        news.lost += left;
        news.untold = (self.announced + self.heard.lost + left).saturating_sub(self.heard.told);
    }

    /// Whether it will say nothing more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Begins or ends to be watched, where that is due: `change` is given its socket and whether it shall be watched,
    /// and answers whether it is.
    pub(crate) fn watch(&mut self, change: impl FnOnce(&OwnedFd, bool) -> bool) {
        if self.watched == self.ended {
            self.watched = change(&self.socket, !self.ended);
        }
    }
}

/// Starts a writer for a file. Where that fails the file is written directly.
pub(crate) fn start(file: OwnedFd) -> Target {
    let Ok((ours, theirs)) = pair() else { return Target::File(file) };
    match clone::fork(0, None) {
        Ok(Forked::Parent(_)) => {
            // a descriptor that could not be closed elsewhere was closed here
            let _ = clone::close_elsewhere(file);
            Target::Process(LogWriter::new(ours))
        }
        Ok(Forked::Child) => log_writing::run(&file, &theirs),
        Err(_) => Target::File(file),
    }
}

fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // the usual size does as well, with less room
    let _ = set_socket_send_buffer_size_force(&ours, QUEUE);
    Ok((ours, theirs))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::log::{Log, Trouble};
    use crate::records::{OVERHEAD, Stream};
    use rustix::event::{PollFd, PollFlags};
    use rustix::fs::OFlags;
    use std::io::Read;
    use std::os::fd::AsFd;

    /// A writer without a process behind it, and the other end: a test's process has threads and cannot be forked.
    fn writer() -> (LogWriter, OwnedFd) {
        let (ours, theirs) = pair().unwrap();
        (LogWriter::new(ours), theirs)
    }

    /// What is heard once a writer has something to say, or has ended.
    fn heard(log: &mut Log) -> Option<Trouble> {
        let mut sockets: Vec<PollFd<'_>> =
            log.writers().map(|w| PollFd::from_borrowed_fd(w.socket.as_fd(), PollFlags::IN)).collect();
        assert_eq!(rustix::event::poll(&mut sockets, None).unwrap(), 1);
        log.hear()
    }

    #[test]
    fn what_a_writer_gave_up_is_told_when_it_can_write_again() {
        let (writer, theirs) = writer();
        // a pipe that is full refuses, and takes more when it was read
        let (mut reader, file) = std::io::pipe().unwrap();
        let file = OwnedFd::from(file);
        rustix::fs::fcntl_setfl(&file, OFlags::NONBLOCK).unwrap();
        let filler = vec![b'.'; rustix::pipe::fcntl_getpipe_size(&file).unwrap()];
        assert_eq!(rustix::io::write(&file, &filler).unwrap(), filler.len());
        let process = std::thread::spawn(move || log_writing::serve(&file, &theirs));
        let (mut log, mut room) = (Log::new(0, 65536), vec![0; 65536]);
        log.write_by(writer);
        assert_eq!(log.take(Stream::Stdout, b"lost\n", &mut room), None);
        let dropped = (OVERHEAD + 4) as u64;
        assert_eq!(heard(&mut log), Some(Trouble { errno: 11, dropped }));
        reader.read_exact(&mut filler.clone()).unwrap();
        assert_eq!(log.take(Stream::Stdout, b"kept\n", &mut room), None);
        assert_eq!(heard(&mut log), None);
        assert_eq!(log.take(Stream::Stdout, b"more\n", &mut room), None);
        assert_eq!((log.finish(&mut room), log.is_done()), (None, false));
        process.join().unwrap();
        assert_eq!(log.hear(), None);
        log.forget_ended();
        assert!(log.is_done());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let tails: Vec<&str> = text.lines().map(|l| &l[31..]).collect();
        let marker =
            format!("stderr F podwright: {dropped} bytes of this log were dropped: resource temporarily unavailable");
        assert_eq!(tails, [marker.as_str(), "stdout F kept", "stdout F more"]);
        assert_eq!(log.dropped(), dropped);
    }

    #[test]
    fn what_a_writer_could_not_tell_the_next_file_tells() {
        let (writer, theirs) = writer();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into();
        let process = std::thread::spawn(move || log_writing::serve(&full, &theirs));
        let (mut log, mut room) = (Log::new(0, 65536), vec![0; 65536]);
        log.write_by(writer);
        assert_eq!(log.take(Stream::Stdout, b"lost\n", &mut room), None);
        let dropped = (OVERHEAD + 4) as u64;
        assert_eq!(heard(&mut log), Some(Trouble { errno: 28, dropped }));
        let (mut reader, file) = std::io::pipe().unwrap();
        log.open(file.into(), false);
        process.join().unwrap();
        assert_eq!(log.hear(), None);
        assert_eq!(log.take(Stream::Stdout, b"kept\n", &mut room), None);
        log.finish(&mut room);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let tails: Vec<&str> = text.lines().map(|l| &l[31..]).collect();
        let marker = format!("stderr F podwright: {dropped} bytes of this log were dropped: no space left on device");
        assert_eq!(tails, [marker.as_str(), "stdout F kept"]);
    }

    #[test]
    fn what_a_killed_writer_had_not_written_is_lost() {
        let (mut writer, theirs) = writer();
        writer.hand_over(Head { missing: 7, errno: 11, nanos: 0 }, b"1234567890").unwrap();
        writer.hand_over(Head::default(), b"12345").unwrap();
        let report = Report { settled: 10, lost: 4, told: 7, errno: 0 };
        rustix::io::write(&theirs, &report.bytes()).unwrap();
        let news = writer.listen();
        assert_eq!((news.lost, news.failing, news.untold, writer.has_ended()), (4, Some(None), 0, false));
        drop(theirs);
        let news = writer.listen();
        assert_eq!((news.lost, news.failing, news.untold, writer.has_ended()), (5, Some(Some(32)), 9, true));
        assert_eq!(writer.hand_over(Head::default(), b"1"), Err(Errno::PIPE));
    }

    #[test]
    fn what_is_given_up_is_lost_once() {
        let (mut writer, _theirs) = writer();
        writer.hand_over(Head::default(), b"12345").unwrap();
        let news = writer.give_up();
        assert_eq!((news.lost, news.failing, news.untold), (5, Some(Some(110)), 5));
        let news = writer.give_up();
        assert_eq!((news.lost, news.failing, news.untold), (0, None, 0));
    }
}
