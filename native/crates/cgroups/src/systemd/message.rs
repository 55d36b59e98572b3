//! D-Bus messages, as far as process 1 needs them (D-Bus Specification, "Message Protocol"): little-endian, no
//! descriptors. What comes in is read with every length checked.

/// A value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `s`
    Text(String),
    /// `b`
    Flag(bool),
    /// `t`
    Count(u64),
    /// `au`
    Numbers(Vec<u32>),
    /// `ay`
    Bytes(Vec<u8>),
}

/// A body and its signature, written from the front.
#[derive(Debug, Default, Clone)]
pub(super) struct Body {
    signature: String,
    bytes: Vec<u8>,
}

impl Body {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self.signature.push('s');
        put_text(&mut self.bytes, text);
        self
    }

    pub(super) fn flag(mut self, flag: bool) -> Self {
        self.signature.push('b');
        put_number(&mut self.bytes, flag.into());
        self
    }

    pub(super) fn number(mut self, number: u32) -> Self {
        self.signature.push('u');
        put_number(&mut self.bytes, number);
        self
    }

    /// `a(sv)`
    pub(super) fn properties(mut self, properties: &[(&str, Value)]) -> Self {
        self.signature.push_str("a(sv)");
        put_array(&mut self.bytes, 8, |to| {
            for (name, value) in properties {
                align(to, 8);
                put_text(to, name);
                put_variant(to, value);
            }
        });
        self
    }

    /// `a(sa(sv))` without anything in it: no auxiliary units.
    pub(super) fn no_more_units(mut self) -> Self {
        self.signature.push_str("a(sa(sv))");
        put_array(&mut self.bytes, 8, |_| ());
        self
    }
}

fn align(to: &mut Vec<u8>, size: usize) {
    to.resize(to.len().next_multiple_of(size), 0);
}

fn put_number(to: &mut Vec<u8>, number: u32) {
    align(to, 4);
    to.extend_from_slice(&number.to_le_bytes());
}

/// A string or an object path.
fn put_text(to: &mut Vec<u8>, text: &str) {
    put_number(to, text.len() as u32);
    to.extend_from_slice(text.as_bytes());
    to.push(0);
}

fn put_signature(to: &mut Vec<u8>, signature: &str) {
    to.push(signature.len() as u8);
    to.extend_from_slice(signature.as_bytes());
    to.push(0);
}

/// The length counts from the first element, after the padding.
fn put_array(to: &mut Vec<u8>, element: usize, fill: impl FnOnce(&mut Vec<u8>)) {
    put_number(to, 0);
    let length = to.len() - 4;
    align(to, element);
    let first = to.len();
    fill(to);
    let bytes = (to.len() - first) as u32;
    to[length..length + 4].copy_from_slice(&bytes.to_le_bytes());
}

fn put_variant(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            put_signature(to, "s");
            put_text(to, text);
        }
        Value::Flag(flag) => {
            put_signature(to, "b");
            put_number(to, (*flag).into());
        }
        Value::Count(count) => {
            put_signature(to, "t");
            align(to, 8);
            to.extend_from_slice(&count.to_le_bytes());
        }
        Value::Numbers(numbers) => {
            put_signature(to, "au");
            put_array(to, 4, |to| numbers.iter().for_each(|number| put_number(to, *number)));
        }
        Value::Bytes(bytes) => {
            put_signature(to, "ay");
            put_array(to, 1, |to| to.extend_from_slice(bytes));
        }
    }
}

/// Who is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
}

/// A method call, whole.
pub(super) fn call(serial: u32, target: Target, member: &str, body: &Body) -> Vec<u8> {
    // little-endian, method call, no flags, version 1
    let mut out = vec![b'l', 1, 0, 1];
    put_number(&mut out, body.bytes.len() as u32);
    put_number(&mut out, serial);
    put_array(&mut out, 8, |to| {
        let fields =
            [(1, "o", target.path), (2, "s", target.interface), (3, "s", member), (6, "s", target.destination)];
        for (code, kind, text) in fields {
            align(to, 8);
            to.push(code);
            put_signature(to, kind);
            put_text(to, text);
        }
        if !body.signature.is_empty() {
            align(to, 8);
            to.push(8);
            put_signature(to, "g");
            put_signature(to, &body.signature);
        }
    });
    align(&mut out, 8);
    out.extend_from_slice(&body.bytes);
    out
}

/// What kind of message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An answer to the call of that serial.
    Answer(u32),
    /// The call of that serial failed.
    Failure(u32),
    /// Something that happened.
    Signal,
    /// Nothing of interest.
    Other,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) kind: Kind,
    pub(super) member: String,
    /// Of a failure.
    pub(super) error: String,
    pub(super) body: Vec<u8>,
}

/// Bytes of a message's first part, which says how long all of it is.
pub(super) const FIRST: usize = 16;
/// The longest message that is read; process 1 sends far shorter ones.
const LONGEST: usize = 1 << 20;

/// The length of the whole message by its first 16 bytes.
pub(super) fn whole_length(first: &[u8; FIRST]) -> Option<usize> {
    if first[0] != b'l' || first[3] != 1 {
        return None;
    }
    let mut at = Reader { bytes: first, at: 4 };
    let body = at.number()? as usize;
    at.number()?;
    let fields = at.number()? as usize;
    let total = fields.checked_add(FIRST)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (total <= LONGEST).then_some(total)
}

/// Reads a whole message; nothing for one that is not understood.
pub(super) fn parse(message: &[u8]) -> Option<Incoming> {
    let kind = *message.get(1)?;
    let mut reader = Reader { bytes: message, at: 4 };
    let body_length = reader.number()? as usize;
    reader.number()?;
    let end = (reader.number()? as usize).checked_add(FIRST)?;
    let (mut member, mut error, mut answers) = (String::new(), String::new(), 0);
    while reader.at < end {
        reader.align(8);
        let code = reader.byte()?;
        let signature = reader.signature()?;
        match (code, signature.as_str()) {
            (5, "u") => answers = reader.number()?,
            (9, "u") => drop(reader.number()?),
            (8, "g") => drop(reader.signature()?),
            (_, "s" | "o") => {
                let text = reader.text()?;
                match code {
                    3 => member = text,
                    4 => error = text,
                    _ => {}
                }
            }
            _ => return None,
        }
    }
    let start = end.checked_next_multiple_of(8)?;
    let body = message.get(start..start.checked_add(body_length)?)?.to_vec();
    let kind = match kind {
        2 => Kind::Answer(answers),
        3 => Kind::Failure(answers),
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    Some(Incoming { kind, member, error, body })
}

/// Reads values in order.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn align(&mut self, size: usize) {
        self.at = self.at.next_multiple_of(size);
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.align(4);
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        self.byte()?;
        Some(text)
    }

    fn signature(&mut self) -> Option<String> {
        let length = self.byte()?.into();
        let text = String::from_utf8(self.take(length)?.to_vec()).ok()?;
        self.byte()?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGER: Target = Target { destination: "d.e", path: "/p", interface: "i.f" };

    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let body = Body::new().text("u.scope").properties(&[("Delegate", Value::Flag(true))]);
        let bytes = call(7, MANAGER, "Go", &body);
        assert_eq!(&bytes[..4], b"l\x01\x00\x01");
        assert_eq!(&bytes[8..12], &7_u32.to_le_bytes());
        let mut first = [0; FIRST];
        first.copy_from_slice(&bytes[..FIRST]);
        assert_eq!(whole_length(&first), Some(bytes.len()));
        // body: length 7, "u.scope\0", array length, padding to 8, "Delegate", signature "b", padding, 1
        let at = bytes.len() - body.bytes.len();
        assert_eq!(at % 8, 0);
        assert_eq!(&bytes[at..at + 12], b"\x07\0\0\0u.scope\0");
        assert_eq!(&bytes[at + 12..at + 16], &20_u32.to_le_bytes());
        assert_eq!(&bytes[at + 16..], b"\x08\0\0\0Delegate\0\x01b\0\x01\0\0\0");
    }

    #[test]
    fn arrays_of_structures_count_without_their_first_padding() {
        let body = Body::new().properties(&[("A", Value::Count(3)), ("B", Value::Numbers(vec![1, 2]))]).no_more_units();
        // 4 length + 4 padding, then A: 4+1+1 name, 3 signature → 16 aligned count
        let length = u32::from_le_bytes(body.bytes[..4].try_into().unwrap_or_default()) as usize;
        assert_eq!(body.bytes.len(), 8 + length + 4 + (8 - (8 + length + 4) % 8) % 8);
        assert_eq!(body.signature, "a(sv)a(sa(sv))");
    }

    fn answer(kind: u8, fields: &[(u8, &str, &str)], serial: u32, body: &[u8]) -> Vec<u8> {
        let mut out = vec![b'l', kind, 0, 1];
        put_number(&mut out, body.len() as u32);
        put_number(&mut out, 99);
        put_array(&mut out, 8, |to| {
            for (code, signature, text) in fields {
                align(to, 8);
                to.push(*code);
                put_signature(to, signature);
                put_text(to, text);
            }
            align(to, 8);
            to.push(5);
            put_signature(to, "u");
            put_number(to, serial);
        });
        align(&mut out, 8);
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn answers_failures_and_signals_are_told_apart() {
        let mut body = Vec::new();
        put_text(&mut body, "why");
        let failed = answer(3, &[(4, "s", "org.e"), (7, "s", ":1.1")], 12, &body);
        let expected =
            Incoming { kind: Kind::Failure(12), member: String::new(), error: "org.e".into(), body: body.clone() };
        assert_eq!(parse(&failed), Some(expected));
        assert_eq!(Reader::new(&body).text().as_deref(), Some("why"));
        let signal = answer(4, &[(1, "o", "/p"), (2, "s", "i"), (3, "s", "JobRemoved")], 0, &[]);
        assert!(parse(&signal).is_some_and(|m| m.kind == Kind::Signal && m.member == "JobRemoved"));
        assert!(parse(&answer(2, &[], 5, &[])).is_some_and(|m| m.kind == Kind::Answer(5)));
    }

    #[test]
    fn nothing_that_comes_makes_it_read_beyond_the_end() {
        let mut body = Vec::new();
        put_text(&mut body, "why");
        let good = answer(3, &[(4, "s", "org.e")], 12, &body);
        for cut in 0..good.len() {
            assert_eq!(parse(&good[..cut]), None, "{cut}");
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _whatever = parse(&bad);
            }
        }
        assert_eq!(whole_length(b"l\x02\0\x01\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff"), None);
        assert_eq!(whole_length(b"B\x02\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"), None);
    }
}
