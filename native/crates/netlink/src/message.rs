//! Writing and reading netlink messages (netlink(7)): header, body, attributes.

use crate::kernel::{HEADER_LEN, NLA_F_NESTED, NLA_TYPE_MASK};

/// A message under construction. Lengths are patched in as attributes are added.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of this type. `body` is the fixed structure of the family (ifinfomsg, rtmsg, …).
    pub(crate) fn new(kind: u16, flags: i32, body: &[u8]) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]); // sequence number and port, set when sent
        bytes.extend_from_slice(body);
        let mut message = Self { bytes };
        message.pad();
        message
    }

    /// Adds an attribute with these bytes.
    pub(crate) fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        let len = (4 + value.len()) as u16;
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Adds a number in host byte order.
    pub(crate) fn attr_u32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Adds a text, ended by a zero byte as the kernel wants it.
    pub(crate) fn attr_str(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    /// Adds an attribute that holds what `fill` adds.
    pub(crate) fn nest(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        let mut filled = fill(self);
        let len = (filled.bytes.len() - start) as u16;
        filled.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        filled
    }

    /// The same, marked as nested: nfnetlink insists on the mark, rtnetlink does not care.
    pub(crate) fn nest_marked(self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        self.nest(kind | NLA_F_NESTED, fill)
    }

    /// Adds raw bytes: a fixed structure inside an attribute (the peer's ifinfomsg of a veth).
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// The finished message with its length and sequence number.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// One message of a reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

/// Splits a datagram into its messages; an impossible length ends it with `None` for an error.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Option<Received<'_>>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut datagram);
        let length = u32_at(rest, 0).map_or(0, |length| length as usize);
        if length < HEADER_LEN || length > rest.len() {
            return Some(None);
        }
        datagram = &rest[length.next_multiple_of(4).min(rest.len())..];
        Some(Some(Received {
            kind: u16_at(rest, 4)?,
            flags: u16_at(rest, 6)?,
            sequence: u32_at(rest, 8)?,
            payload: &rest[HEADER_LEN..length],
        }))
    })
}

/// The attributes in `bytes` as (type without flags, value); a damaged one ends the walk.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        Some((kind, value))
    })
}

/// The first attribute of this type.
pub(crate) fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// A number in host byte order at an offset.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A number in host byte order at an offset.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A number in host byte order at an offset.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// A text attribute without its final zero byte.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        let bytes = Message::new(16, libc::NLM_F_ACK, &[7; 16])
            .attr_str(3, "eth0")
            .nest(18, |m| m.attr_str(1, "veth").nest(2, |m| m.raw(&[1, 2, 3])))
            .attr_u32(4, 1400)
            .finish(42);
        let parsed: Vec<_> = messages(&bytes).collect();
        assert_eq!(parsed.len(), 1);
        let message = parsed[0].expect("one whole message");
        assert_eq!((message.kind, message.sequence), (16, 42));
        let attrs = &message.payload[16..];
        assert_eq!(text(attribute(attrs, 3).expect("name")), "eth0");
        assert_eq!(u32_at(attribute(attrs, 4).expect("mtu"), 0), Some(1400));
        let info = attribute(attrs, 18).expect("nested");
        assert_eq!(text(attribute(info, 1).expect("kind")), "veth");
        assert_eq!(attribute(info, 2).expect("data"), &[1, 2, 3, 0]);
    }

    #[test]
    fn damaged_input_ends_the_walk() {
        assert!(messages(&[1, 0, 0]).next().expect("an item").is_none());
        let short = [200u8, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(messages(&short).next().expect("an item").is_none());
        let endless = [0u8; 64];
        assert_eq!(messages(&endless).count(), 1);
        assert_eq!(attributes(&[0, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[9, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[5, 0, 1, 0, 9]).count(), 1);
        assert_eq!(u32_at(&[1, 2], 0), None);
    }
}
