//! What is fuzzed of this crate (`native/fuzz`).

use crate::{Canceller, Carried, Ends, Framing, Limits, Stop, carry};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown, socketpair,
};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// More does not go into the buffer of a socket that nobody reads meanwhile.
const MOST: usize = 32 * 1024;
/// A kind of frame of which the target's first bytes tell what is under way.
const BEGIN: usize = 4;
const STREAM: u32 = 5;
const CHANNEL: u8 = 0;
const LONGEST: u64 = 4096;

fn pair() -> Option<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None).ok()
}

/// What a client that sends `bytes` and ends comes to: what was carried, and what the monitor got. None: no sockets.
fn carried(bytes: &[u8], framing: &Framing) -> Option<(Carried, Vec<u8>)> {
    let ((client, from), (to, monitor)) = (pair()?, pair()?);
    let sent = send(&client, bytes, SendFlags::NOSIGNAL);
    assert_eq!(sent, Ok(bytes.len()));
    shutdown(&client, Shutdown::Write).ok()?;
    let limits = Limits { quiet: Duration::from_secs(10), time: Duration::from_secs(10) };
    let done = carry(Ends { from, to, canceller: Canceller::new().ok()? }, framing, limits).ok()?;
    let mut got = vec![0; bytes.len() + 1];
    let mut have = 0;
    while let Ok((_, count)) = recv(&monitor, &mut got[have..], RecvFlags::DONTWAIT)
        && count > 0
    {
        have += count;
    }
    got.truncate(have);
    assert_eq!(done.bytes, have as u64);
    assert!(matches!(done.stop, Stop::Other | Stop::Ended), "{:?}", done.stop);
    Some((done, got))
}

/// Input of one stream out of SPDY frames, from the middle of one on: none is lost, changed or taken from other frames.
///
/// # Panics
/// What must not be.
pub fn spdy_frames(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MOST)];
    let Some((begin, mut rest)) = bytes.split_first_chunk::<BEGIN>() else { return };
    let left = u32::from_be_bytes(*begin) >> 16;
    let Some((done, got)) = carried(rest, &Framing::Spdy { stream_id: STREAM, left }) else { return };
    // the same by the words of the draft
    let (mut input, mut left) = (Vec::new(), left as usize);
    loop {
        let (now, later) = rest.split_at(left.min(rest.len()));
        input.extend_from_slice(now);
        left -= now.len();
        rest = later;
        let Some((head, later)) = rest.split_first_chunk::<8>().filter(|_| left == 0) else { break };
        if head[..4] != STREAM.to_be_bytes() || head[4] != 0 {
            break;
        }
        left = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
        rest = later;
    }
    let mut expected = Vec::new();
    if left > 0 {
        expected = [STREAM.to_be_bytes(), (left as u32).to_be_bytes()].concat();
    }
    assert_eq!(got, input);
    // who reads a head takes no more than that: what is behind is the caller's to read
    let head = rest.len().min(8);
    expected.extend_from_slice(if left > 0 { &[] } else { &rest[..head] });
    assert_eq!(done.rest, expected);
    assert_eq!(done.stop, if left == 0 && rest.len() >= 8 { Stop::Other } else { Stop::Ended });
}

/// The same of WebSocket messages of one channel.
///
/// # Panics
/// What must not be.
pub fn websocket_frames(bytes: &[u8]) {
    let mut rest = &bytes[..bytes.len().min(MOST)];
    let framing = Framing::WebSocket { channel: CHANNEL, left: 0, longest: LONGEST };
    let Some((done, got)) = carried(rest, &framing) else { return };
    let mut input = Vec::new();
    let mut left = 0;
    while let Some((length, mask, begin)) = message(rest) {
        let payload = rest.get(begin..).unwrap_or_default();
        let here = &payload[..payload.len().min(length)];
        input.extend(here.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).skip(1));
        rest = &payload[here.len()..];
        left = length - here.len();
        if left > 0 {
            break;
        }
    }
    assert_eq!(got, input);
    if left == 0 {
        assert!(
            done.rest.starts_with(rest.get(..done.rest.len()).unwrap_or(rest)),
            "what was read too much comes back"
        );
        return;
    }
    // a frame of what is left, to which the client's next bytes belong as they are masked
    let (length, _, begin) = message(&[&done.rest[..], &[0; 1]].concat()).unwrap_or_default();
    assert_eq!((length, begin), (left + 1, done.rest.len() - 1), "{:?}", done.rest);
}

/// The length of a message of the channel, its mask, and where it begins; none: another frame, or not enough of it.
fn message(bytes: &[u8]) -> Option<(usize, [u8; 4], usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (length, at) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    let mask = *bytes.get(at..)?.first_chunk::<4>()?;
    let number = bytes.get(at + 4)? ^ mask[0];
    let plain = first == 0x82 && second & 0x80 != 0 && (1..=LONGEST).contains(&length) && number == CHANNEL;
    plain.then_some((length as usize, mask, at + 4))
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_kept_of_frames() {
        assert!(super::replay::replay("spdy_frames", super::spdy_frames) > 0);
        assert!(super::replay::replay("websocket_frames", super::websocket_frames) > 0);
    }
}
