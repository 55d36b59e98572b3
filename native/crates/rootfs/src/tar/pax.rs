//! pax extended header records: `"%d %s=%s\n", <length>, <keyword>, <value>` (POSIX.1-2001 pax).

/// An extended attribute of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// The full name, `user.mime_type`.
    pub name: Vec<u8>,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// The records of one extended header that mean something for a layer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    /// Seconds and nanoseconds, the latter below 1e9 and always forward.
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<Xattr>,
    pub(crate) sparse: PaxSparse,
}

/// GNU's three spellings of sparse files in pax (0.0, 0.1, 1.0).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct PaxSparse {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    /// Map of 0.0 and 0.1; that of 1.0 stands before the file's data.
    pub(crate) map: Option<Vec<(u64, u64)>>,
    offset: Option<u64>,
}

const BAD: &str = "a pax record is malformed";

/// Parses a whole extended header; later records of a keyword override earlier ones.
pub(crate) fn parse(mut data: &[u8]) -> Result<Pax, &'static str> {
    let mut pax = Pax::default();
    // Some writers pad the record area with NULs.
    while data.first().is_some_and(|&b| b != 0) {
        let space = data.iter().take(20).position(|&b| b == b' ').ok_or(BAD)?;
        let length = usize::try_from(decimal(&data[..space])?).map_err(|_| BAD)?;
        if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
            return Err(BAD);
        }
        let record = &data[space + 1..length - 1];
        let equals = record.iter().position(|&b| b == b'=').ok_or(BAD)?;
        pax.take(&record[..equals], &record[equals + 1..])?;
        data = &data[length..];
    }
    Ok(pax)
}

impl Pax {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"size" => self.size = optional(value)?,
            b"uid" => self.uid = optional(value)?,
            b"gid" => self.gid = optional(value)?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(time(value)?) },
            _ => {
                if let Some(attribute) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.take_xattr(attribute, value)?;
                } else if let Some(field) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(field, value)?;
                }
            }
        }
        Ok(())
    }

    fn take_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if name.is_empty() || name.contains(&0) {
            return Err("an extended attribute's name is empty or has a NUL");
        }
        self.xattrs.retain(|x| x.name != name);
        self.xattrs.push(Xattr { name: name.to_vec(), value: value.to_vec() });
        Ok(())
    }
}

impl PaxSparse {
    fn take(&mut self, field: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match field {
            b"major" => self.major = decimal(value)?,
            b"minor" => self.minor = decimal(value)?,
            b"name" => self.name = name(value)?,
            b"realsize" | b"size" => self.real_size = optional(value)?,
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or("a sparse map is malformed")?;
                self.map.get_or_insert_default().push((offset, decimal(value)?));
            }
            b"map" => self.map = Some(comma_map(value)?),
            _ => {}
        }
        Ok(())
    }

    /// Whether the entry is a sparse file at all, and whether its map stands before its data.
    pub(crate) fn form(&self) -> Option<MapPlace> {
        if self.major == 1 && self.minor == 0 {
            Some(MapPlace::InData)
        } else {
            self.map.as_ref().map(|_| MapPlace::InHeader)
        }
    }
}

/// Where a pax sparse map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapPlace {
    /// 0.0 and 0.1.
    InHeader,
    /// 1.0.
    InData,
}

fn comma_map(value: &[u8]) -> Result<Vec<(u64, u64)>, &'static str> {
    let numbers: Vec<u64> = if value.is_empty() {
        Vec::new()
    } else {
        value.split(|&b| b == b',').map(decimal).collect::<Result<_, _>>()?
    };
    if !numbers.len().is_multiple_of(2) {
        return Err("a sparse map is malformed");
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// A path: empty means "not overridden", NUL is refused.
fn name(value: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    match value {
        [] => Ok(None),
        v if v.contains(&0) => Err("a name in a pax record has a NUL"),
        v => Ok(Some(v.to_vec())),
    }
}

fn optional(value: &[u8]) -> Result<Option<u64>, &'static str> {
    if value.is_empty() { Ok(None) } else { decimal(value).map(Some) }
}

/// Unsigned decimal digits, nothing else.
pub(crate) fn decimal(digits: &[u8]) -> Result<u64, &'static str> {
    if digits.is_empty() {
        return Err(BAD);
    }
    digits.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(BAD);
        }
        value
            .checked_mul(10)
            .and_then(|v| v.checked_add(u64::from(digit)))
            .ok_or("a number in a pax record is too large")
    })
}

/// `[-]seconds[.fraction]`; digits beyond nanoseconds are cut.
fn time(value: &[u8]) -> Result<(i64, u32), &'static str> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let (whole, fraction) = match digits.iter().position(|&b| b == b'.') {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &[][..]),
    };
    let seconds = i64::try_from(decimal(whole)?).map_err(|_| "a time in a pax record is out of range")?;
    let mut nanos = 0_u32;
    for place in 0..9 {
        let digit = fraction.get(place).map_or(0, |b| b.wrapping_sub(b'0'));
        if digit > 9 {
            return Err(BAD);
        }
        nanos = nanos * 10 + u32::from(digit);
    }
    Ok(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let mut length = body.len() + 1;
        while length != body.len() + length.to_string().len() {
            length = body.len() + length.to_string().len();
        }
        [length.to_string().as_bytes(), &body].concat()
    }

    #[test]
    fn records_are_taken_and_overridden() {
        let data = [
            record("path", b"a/b"),
            record("path", b"c"),
            record("mtime", b"1.5"),
            record("SCHILY.xattr.user.x", b"\0=\n"),
            record("size", b"12"),
            record("comment", b"ignored"),
        ]
        .concat();
        let pax = parse(&data).expect("parse");
        assert_eq!(pax.path.as_deref(), Some(&b"c"[..]));
        assert_eq!(pax.mtime, Some((1, 500_000_000)));
        assert_eq!(pax.size, Some(12));
        assert_eq!(pax.xattrs, vec![Xattr { name: b"user.x".to_vec(), value: b"\0=\n".to_vec() }]);
    }

    #[test]
    fn negative_times_count_forward_from_the_second_before() {
        assert_eq!(time(b"-1.25"), Ok((-2, 750_000_000)));
        assert_eq!(time(b"-1"), Ok((-1, 0)));
        assert_eq!(time(b"1.x"), Err(BAD));
    }

    #[test]
    fn sparse_maps_of_both_header_forms() {
        let old = [
            record("GNU.sparse.offset", b"0"),
            record("GNU.sparse.numbytes", b"5"),
            record("GNU.sparse.offset", b"100"),
            record("GNU.sparse.numbytes", b"7"),
        ]
        .concat();
        assert_eq!(parse(&old).expect("parse").sparse.map, Some(vec![(0, 5), (100, 7)]));
        assert_eq!(
            parse(&record("GNU.sparse.map", b"0,5,100,7")).expect("parse").sparse.map,
            Some(vec![(0, 5), (100, 7)])
        );
        assert!(parse(&record("GNU.sparse.map", b"0,5,100")).is_err());
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in
            [&b"5 a=b"[..], b"99 a=b\n", b"x a=b\n", b"4 ab\n", b"99999999999999999999 a=b\n", b"7 path=\n\n", b" "]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&record("path", b"a\0b")).is_err());
    }
}
