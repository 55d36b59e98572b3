//! SPDY/3.1 DATA frames (draft 3.1, 2.2.2): eight bytes of head, then bytes that need not be looked at.

use crate::way::{Way, error};
use crate::{Carried, Stop};
use podwright_sys::errno::SysResult;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use std::os::fd::OwnedFd;

const HEAD: usize = 8;

/// What the pipe in between shall hold: fewer turns. Where it is refused the usual size will do.
const PIPE: usize = 512 * 1024;

/// Bytes on their way from one socket to the other, inside the kernel.
struct Transit {
    reader: OwnedFd,
    writer: OwnedFd,
    held: usize,
}

impl Transit {
    fn make() -> SysResult<Self> {
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (reader, writer) = rustix::pipe::pipe_with(flags).map_err(|e| error("pipe2", e))?;
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
        Ok(Self { reader, writer, held: 0 })
    }

    /// Takes out what it holds.
    fn empty(&mut self) -> SysResult<Vec<u8>> {
        let mut bytes = vec![0; self.held];
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::read(&self.reader, rest) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(error("read", errno)),
            }
        }
        self.held = 0;
        bytes.truncate(done);
        Ok(bytes)
    }
}

fn head_of(stream_id: u32, length: usize) -> Vec<u8> {
    // a frame is never longer than before, and so never than 24 bits say
    let length = u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff;
    [stream_id.to_be_bytes(), length.to_be_bytes()].concat()
}

/// The length of a DATA frame of this stream without flags; none: another frame.
fn length_of(head: [u8; HEAD], stream_id: u32) -> Option<u32> {
    let [a, b, c, d, flags, e, f, g] = head;
    let plain = u32::from_be_bytes([a, b, c, d]) == stream_id && flags == 0;
    plain.then(|| u32::from_be_bytes([0, e, f, g]))
}

/// Carries the frames of a stream, of the first of which `left` bytes are to come.
pub(crate) fn carry(mut way: Way, stream_id: u32, left: u32) -> SysResult<Carried> {
    let mut transit = Transit::make()?;
    let mut left = left as usize;
    loop {
        if left == 0 {
            let mut head = [0; HEAD];
            let (have, stop) = read_head(&way, &mut head)?;
            let plain = if stop.is_none() { length_of(head, stream_id) } else { None };
            let Some(length) = plain else {
                let rest = head.get(..have).unwrap_or_default().to_vec();
                return Ok(Carried { bytes: way.bytes, rest, stop: stop.unwrap_or(Stop::Other) });
            };
            left = length as usize;
        } else if let Some(stop) = move_some(&mut way, &mut transit, &mut left)? {
            let mut rest = Vec::new();
            let held = if stop == Stop::Unread { Vec::new() } else { transit.empty()? };
            if held.len() + left > 0 {
                rest = head_of(stream_id, held.len() + left);
                rest.extend_from_slice(&held);
            }
            return Ok(Carried { bytes: way.bytes, rest, stop });
        }
    }
}

/// How much of a head came, and why no more.
fn read_head(way: &Way, head: &mut [u8; HEAD]) -> SysResult<(usize, Option<Stop>)> {
    let mut have = 0;
    while let Some(rest) = head.get_mut(have..).filter(|rest| !rest.is_empty()) {
        if have == 0 && way.is_late() {
            return Ok((0, Some(Stop::Done)));
        }
        match way.read(rest)? {
            Ok(count) => have += count,
            Err(stop) => return Ok((have, Some(stop))),
        }
    }
    Ok((have, None))
}

/// Moves at most `left` bytes into the pipe, and all that is in it out of it. Some: why it went no further.
fn move_some(way: &mut Way, transit: &mut Transit, left: &mut usize) -> SysResult<Option<Stop>> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    match rustix::pipe::splice(&way.ends.from, None, &transit.writer, None, (*left).min(PIPE), flags) {
        Ok(0) => return Ok(Some(Stop::Ended)),
        Ok(count) => {
            transit.held = count;
            *left -= count;
        }
        Err(Errno::INTR) => return Ok(None),
        Err(Errno::AGAIN) => return way.wait_input(), // the pipe is empty: it is the socket that has nothing
        Err(_) => return Ok(Some(Stop::Ended)),
    }
    while transit.held > 0 {
        match rustix::pipe::splice(&transit.reader, None, &way.ends.to, None, transit.held, flags) {
            Ok(count) => {
                transit.held -= count;
                way.bytes += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if let Some(stop) = way.wait_room()? {
                    return Ok(Some(stop));
                }
            }
            Err(_) => return Ok(Some(Stop::Unread)),
        }
    }
    Ok(way.is_late().then_some(Stop::Done))
}
