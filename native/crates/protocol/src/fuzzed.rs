//! What is fuzzed of this crate (`native/fuzz`).

use crate::frame::{HEADER, MAX_FRAME, decode, encode, needed};

/// A connection's bytes: each frame is read as it stands and as it comes byte by byte, and comes back the same when it is
/// written again.
///
/// # Panics
/// What must not be.
pub fn monitor_frames(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((frame, length))) = decode(rest) {
        assert!(length >= HEADER && length <= rest.len(), "{length} of {}", rest.len());
        assert_eq!(needed(rest), Ok(Some(length)));
        for short in [0, HEADER - 1, HEADER, length - 1] {
            if short < length {
                assert_eq!(decode(&rest[..short]), Ok(None), "{short} of {length}");
            }
        }
        // what this crate does not know of is dropped: no longer than before, and stable
        let again = encode(&frame).unwrap_or_default();
        assert!(again.len() <= MAX_FRAME + HEADER);
        assert_eq!(decode(&again), Ok(Some((frame, again.len()))));
        rest = &rest[length..];
    }
    if let Ok(Some(length)) = needed(rest) {
        assert!(length <= MAX_FRAME + HEADER, "{length}");
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_kept_of_monitor_frames() {
        assert!(super::replay::replay("monitor_frames", super::monitor_frames) > 0);
    }
}
