//! WebSocket messages (RFC 6455, 5.2) of one channel: read, unmasked where they lie, and sent.

use crate::way::Way;
use crate::{Carried, Stop};
use podwright_sys::errno::SysResult;

/// Read at once.
const BUFFER: usize = 256 * 1024;

/// FIN, and the opcode of a binary message.
const WHOLE_BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;

/// A frame under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    mask: [u8; 4],
    /// Bytes of its payload that have passed.
    passed: u64,
    /// And that are to come.
    left: u64,
}

/// What a buffer begins with.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    /// Not enough of it yet.
    Short,
    /// Of no plain input.
    Other,
    /// Of input, so many bytes long with the channel's number.
    Input(usize, Frame),
}

fn head_of(bytes: &[u8], channel: u8, longest: u64) -> Head {
    let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else { return Head::Short };
    if first != WHOLE_BINARY || second & MASKED == 0 {
        return Head::Other;
    }
    let more = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let end = 2 + more + 4;
    let (Some(extended), Some(mask), Some(&number)) =
        (bytes.get(2..2 + more), bytes.get(2 + more..end), bytes.get(end))
    else {
        return Head::Short;
    };
    let length = match more {
        0 => u64::from(second & 0x7f),
        _ => extended.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    let mask = <[u8; 4]>::try_from(mask).unwrap_or_default();
    if length == 0 || length > longest || number ^ mask[0] != channel {
        return Head::Other;
    }
    Head::Input(end + 1, Frame { mask, passed: 1, left: length - 1 })
}

impl Frame {
    /// The mask as it lies over the next byte.
    fn turned(&self) -> [u8; 4] {
        let mut mask = self.mask;
        mask.rotate_left((self.passed % 4) as usize);
        mask
    }

    /// Masks or unmasks the next bytes.
    fn unmask(&self, bytes: &mut [u8]) {
        let mask = self.turned();
        if mask == [0; 4] {
            return;
        }
        let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for eight in words {
            *eight = (u64::from_ne_bytes(*eight) ^ word).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
    }

    fn pass(&mut self, count: usize) {
        self.passed += count as u64;
        self.left -= count as u64;
    }

    /// The head of a frame of what is left, whose bytes are masked as they are.
    fn head_of_rest(&self, channel: u8) -> Vec<u8> {
        let mut mask = self.turned();
        mask.rotate_right(1); // the channel's number comes before
        let mut head = vec![WHOLE_BINARY, MASKED | 127];
        head.extend_from_slice(&(self.left + 1).to_be_bytes());
        head.extend_from_slice(&mask);
        head.push(channel ^ mask[0]);
        head
    }
}

/// Gives back the next `left` bytes.
pub(crate) fn give_back(way: Way, left: usize) -> SysResult<Carried> {
    let mut rest = vec![0; left];
    let mut have = 0;
    let mut stop = Stop::Done;
    while let Some(room) = rest.get_mut(have..).filter(|room| !room.is_empty()) {
        match way.read(room)? {
            Ok(count) => have += count,
            Err(why) => {
                stop = why;
                break;
            }
        }
    }
    rest.truncate(have);
    Ok(Carried { bytes: 0, rest, stop })
}

/// What was read and has not been passed on.
struct Read {
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Read {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.from..self.to).unwrap_or_default()
    }

    /// Reads more behind it.
    fn more(&mut self, way: &Way) -> SysResult<Option<Stop>> {
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        Ok(match way.read(self.buffer.get_mut(self.to..).unwrap_or_default())? {
            Ok(count) => {
                self.to += count;
                None
            }
            Err(stop) => Some(stop),
        })
    }
}

/// Carries the messages of a channel.
pub(crate) fn carry(mut way: Way, channel: u8, longest: u64) -> SysResult<Carried> {
    let mut read = Read { buffer: vec![0; BUFFER], from: 0, to: 0 };
    loop {
        let stop = if way.is_late() { Some(Stop::Done) } else { None };
        let stop = match (stop, head_of(read.bytes(), channel, longest)) {
            (Some(stop), _) => Some(stop),
            (None, Head::Short) => read.more(&way)?,
            (None, Head::Other) => Some(Stop::Other),
            (None, Head::Input(length, frame)) => {
                read.from += length;
                if let Some(carried) = pass(&mut way, &mut read, frame, channel)? {
                    return Ok(carried);
                }
                None
            }
        };
        if let Some(stop) = stop {
            return Ok(Carried { bytes: way.bytes, rest: read.bytes().to_vec(), stop });
        }
    }
}

/// Passes on one frame. Some: it went no further.
fn pass(way: &mut Way, read: &mut Read, mut frame: Frame, channel: u8) -> SysResult<Option<Carried>> {
    while frame.left > 0 {
        let count = read.bytes().len().min(usize::try_from(frame.left).unwrap_or(usize::MAX));
        let mut stop = if count == 0 { read.more(way)? } else { None };
        if let Some(bytes) = read.buffer.get_mut(read.from..read.from + count) {
            frame.unmask(bytes);
            let (sent, why) = match way.send(bytes)? {
                Ok(()) => (count, None),
                // what nobody reads is not given back
                Err((_, Stop::Unread)) => (count, Some(Stop::Unread)),
                Err((sent, why)) => (sent, Some(why)),
            };
            read.from += sent;
            frame.pass(sent);
            if let Some(unsent) = read.buffer.get_mut(read.from..read.from + count - sent) {
                frame.unmask(unsent); // as it came
            }
            stop = stop.or(why);
        }
        if let Some(stop) = stop {
            let mut rest = if frame.left > 0 { frame.head_of_rest(channel) } else { Vec::new() };
            rest.extend_from_slice(read.bytes());
            return Ok(Some(Carried { bytes: way.bytes, rest, stop }));
        }
    }
    Ok(None)
}
