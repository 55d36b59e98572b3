//! Protobuf bytes (protobuf.dev/programming-guides/encoding), written without allocating but for their room.

/// A message under construction.
#[derive(Debug, Default)]
pub(super) struct Wire {
    bytes: Vec<u8>,
}

impl Wire {
    /// Room for `bytes` to begin with.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A field of type int64 or uint64; left out if 0.
    pub(super) fn count(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.bytes.push(field << 3);
            self.varint(value);
        }
    }

    /// A field of type double; left out if 0.
    pub(super) fn double(&mut self, field: u8, value: f64) {
        if value != 0.0 {
            self.bytes.push(field << 3 | 1);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A field of type UInt64Value, also if it is 0.
    pub(super) fn wrapped(&mut self, field: u8, value: u64) {
        self.message(field, |m| m.count(1, value));
    }

    /// A field of type UInt64Value, left out if there is none.
    pub(super) fn wrapped_if(&mut self, field: u8, value: Option<u64>) {
        if let Some(value) = value {
            self.wrapped(field, value);
        }
    }

    /// A field that is a message of less than 16 KiB; also if nothing is written into it.
    pub(super) fn message(&mut self, field: u8, write: impl FnOnce(&mut Self)) {
        self.bytes.push(field << 3 | 2);
        let at = self.bytes.len();
        // nearly every length is one byte: what is longer is moved
        self.bytes.push(0);
        write(self);
        let length = self.bytes.len() - at - 1;
        if length > 0x7f {
            self.bytes[at] = length as u8 | 0x80;
            self.bytes.insert(at + 1, (length >> 7) as u8);
        } else {
            self.bytes[at] = length as u8;
        }
    }

    /// Four bytes of length, little-endian, and what is written: not protobuf, but what stands around it.
    pub(super) fn framed(&mut self, write: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(self);
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        let mut wire = Wire::with_room(8);
        wire.count(1, 0);
        wire.count(1, 127);
        wire.count(2, 300);
        wire.count(3, u64::MAX);
        wire.double(4, 0.0);
        wire.double(4, 1.5);
        let mut wanted = vec![0x08, 0x7f, 0x10, 0xac, 0x02, 0x18];
        wanted.extend([0xff; 9]);
        wanted.extend([0x01, 0x21, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f]);
        assert_eq!(wire.into_bytes(), wanted);
    }

    #[test]
    fn messages_short_and_long() {
        let mut wire = Wire::default();
        wire.wrapped(1, 0);
        wire.wrapped_if(1, None);
        wire.framed(|w| w.wrapped(2, 5));
        assert_eq!(wire.into_bytes(), [0x0a, 0, 4, 0, 0, 0, 0x12, 2, 0x08, 5]);
        let mut long = Wire::default();
        long.message(3, |m| (0..20).for_each(|_| m.double(1, 2.0)));
        let bytes = long.into_bytes();
        assert_eq!((&bytes[..3], bytes.len()), ([0x1a, 180 & 0x7f | 0x80, 1].as_slice(), 183));
    }
}
