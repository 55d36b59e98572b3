//! A client's input, moved from its connection to the monitor's while nothing but input comes: the frames are read here,
//! their bytes passed on by the kernel (SPDY) or unmasked on the way (WebSocket). What is not plain input, and every
//! pause, goes back to the caller with the bytes that belong to it, as if they had never been read.
//!
//! Must not decide anything: whose input it is, and what other frames mean, is the caller's.

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzzed;
mod spdy;
mod way;
mod websocket;

pub use way::{Canceller, Ends};

use podwright_sys::errno::SysResult;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How input is framed on the client's connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Framing {
    /// SPDY/3.1 DATA frames of one stream.
    Spdy {
        /// The stream.
        stream_id: u32,
        /// Bytes of the current frame that have not been read; 0 between frames.
        left: u32,
    },
    /// Binary WebSocket messages of one frame each that begin with the number of one channel.
    WebSocket {
        /// The channel.
        channel: u8,
        /// Bytes up to the end of the current frame, at most [`MOST_GIVEN_BACK`]: they are given back unread, and nothing
        /// else is done.
        left: usize,
        /// The longest message that is passed on, in bytes; a longer one is given back.
        longest: u64,
    },
}

/// More is never asked to be given back.
pub const MOST_GIVEN_BACK: usize = 1024 * 1024;

/// Why it went no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// Something else than input came.
    Other,
    /// Nothing could be moved for a while: the client sends nothing, or nobody reads.
    Quiet,
    /// It went on for as long as was asked, or gave back what was asked.
    Done,
    /// The client's connection has ended.
    Ended,
    /// The monitor takes nothing any more; what was on its way is lost, as it would be in a pipe without a reader.
    Unread,
    /// The caller wanted no more.
    Cancelled,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Bytes of input that were passed on.
    pub bytes: u64,
    /// What the connection goes on with, before anything that is read from it now: whole frames or their beginning. A frame
    /// of which a part was passed on is a frame of what is left.
    pub rest: Vec<u8>,
    /// Why it went no further.
    pub stop: Stop,
}

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Without moving anything.
    pub quiet: Duration,
    /// In all.
    pub time: Duration,
}

/// Carries input from one socket to the other. Both have O_NONBLOCK.
///
/// # Errors
/// No pipe could be made, or waiting failed (poll).
pub fn carry(ends: Ends, framing: &Framing, limits: Limits) -> SysResult<Carried> {
    let way = way::Way::new(ends, limits);
    match *framing {
        Framing::Spdy { stream_id, left } => spdy::carry(way, stream_id, left),
        Framing::WebSocket { left, .. } if left > 0 => websocket::give_back(way, left.min(MOST_GIVEN_BACK)),
        Framing::WebSocket { channel, longest, .. } => websocket::carry(way, channel, longest),
    }
}
