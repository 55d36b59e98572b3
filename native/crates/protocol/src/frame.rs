//! Frames: u32 big-endian length, then one `Frame` message.

use crate::message::Frame;
use prost::Message;

/// The largest frame accepted or sent, in bytes of the message.
pub const MAX_FRAME: usize = 20 * 1024 * 1024;

/// Bytes of the length before each frame.
pub const HEADER: usize = 4;

/// Why bytes are not a frame. The connection they came from is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced length is beyond [`MAX_FRAME`].
    #[error("frame of {0} bytes is longer than {MAX_FRAME}")]
    TooLong(usize),
    /// The bytes are not a `Frame`.
    #[error("frame does not decode: {0}")]
    Decode(#[from] prost::DecodeError),
}

/// The frame's bytes with its length in front.
///
/// # Errors
/// [`FrameError::TooLong`] when the message is beyond [`MAX_FRAME`].
pub fn encode(frame: &Frame) -> Result<Vec<u8>, FrameError> {
    let length = frame.encoded_len();
    let Some(prefix) = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME) else {
        return Err(FrameError::TooLong(length));
    };
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.extend_from_slice(&prefix.to_be_bytes());
    frame.encode_raw(&mut bytes);
    Ok(bytes)
}

/// Looks for a whole frame at the beginning of `bytes`: the frame and how many bytes it took,
/// or `None` when more bytes are needed.
///
/// # Errors
/// A length beyond [`MAX_FRAME`] (told from the four bytes alone) or bytes that do not decode.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
    let Some(end) = needed(bytes)? else { return Ok(None) };
    let Some(body) = bytes.get(HEADER..end) else { return Ok(None) };
    Ok(Some((Frame::decode(body)?, end)))
}

/// How many bytes the first frame takes in all, header included; `None` before the header is whole.
///
/// # Errors
/// A length beyond [`MAX_FRAME`].
pub fn needed(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes(*header) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    Ok(Some(HEADER + length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::message::{GetState, Request, frame, request};

    fn sample() -> Frame {
        let call = request::Call::GetState(GetState {});
        Frame { body: Some(frame::Body::Request(Request { id: 7, call: Some(call) })) }
    }

    #[test]
    fn a_frame_comes_back() {
        let bytes = encode(&sample()).unwrap();
        assert_eq!(bytes, [0, 0, 0, 6, 10, 4, 8, 7, 90, 0]);
        assert_eq!(decode(&bytes).unwrap(), Some((sample(), bytes.len())));
    }

    #[test]
    fn half_a_frame_asks_for_more() {
        let bytes = encode(&sample()).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]).unwrap(), None, "{end}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_at_once() {
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), Err(FrameError::TooLong(0xffff_ffff)));
    }

    #[test]
    fn noise_never_panics() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..48 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                bytes.push((state >> 33) as u8);
            }
            let body = bytes.len() as u32;
            let mut framed = body.to_be_bytes().to_vec();
            framed.extend(&bytes);
            let _ = decode(&framed);
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn every_flipped_byte_of_a_frame_is_a_frame_or_an_error() {
        let bytes = encode(&sample()).unwrap();
        for at in HEADER..bytes.len() {
            for value in 0..=255 {
                let mut bad = bytes.clone();
                bad[at] = value;
                let _ = decode(&bad);
            }
        }
    }
}
