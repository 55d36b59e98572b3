//! One 512-byte header block (tar(5)).

/// Size of a block: headers, and the unit file contents are padded to.
pub(crate) const BLOCK: usize = 512;

/// A header block's fields, before long names and pax records are merged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) typeflag: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) device: (u64, u64),
    /// Old GNU sparse: the first four map entries, whether more follow, the real size.
    pub(crate) sparse: Option<GnuSparse>,
}

/// The sparse fields of an old GNU header (`typeflag` `S`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GnuSparse {
    pub(crate) map: Vec<(u64, u64)>,
    pub(crate) extended: bool,
    pub(crate) real_size: u64,
}

/// Parses a block; `None` is a block of zeros (the archive's end mark).
pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Option<Header>, &'static str> {
    if block.iter().all(|&b| b == 0) {
        return Ok(None);
    }
    verify_checksum(block)?;
    let gnu = &block[257..265] == b"ustar  \0";
    let ustar = !gnu && &block[257..262] == b"ustar";
    let mut path = text(&block[0..100]).to_vec();
    if ustar {
        let star = &block[508..512] == b"tar\0";
        let prefix = text(if star { &block[345..476] } else { &block[345..500] });
        if !prefix.is_empty() {
            path = [prefix, b"/", &path].concat();
        }
    }
    let typeflag = block[156];
    let sparse = if gnu && typeflag == b'S' { Some(gnu_sparse(block)?) } else { None };
    let device = if gnu || ustar { (number(&block[329..337])?, number(&block[337..345])?) } else { (0, 0) };
    let mode = number(&block[100..108])?;
    Ok(Some(Header {
        path,
        link: text(&block[157..257]).to_vec(),
        typeflag,
        mode: (mode & 0o7777) as u32,
        uid: number(&block[108..116])?,
        gid: number(&block[116..124])?,
        size: number(&block[124..136])?,
        mtime: signed(&block[136..148])?,
        device,
        sparse,
    }))
}

/// The extension block after an old GNU sparse header: 21 more map entries.
pub(crate) fn gnu_sparse_extension(block: &[u8; BLOCK], map: &mut Vec<(u64, u64)>) -> Result<bool, &'static str> {
    sparse_entries(&block[0..504], map)?;
    Ok(block[504] != 0)
}

fn gnu_sparse(block: &[u8; BLOCK]) -> Result<GnuSparse, &'static str> {
    let mut map = Vec::new();
    sparse_entries(&block[386..482], &mut map)?;
    Ok(GnuSparse { map, extended: block[482] != 0, real_size: number(&block[483..495])? })
}

fn sparse_entries(area: &[u8], map: &mut Vec<(u64, u64)>) -> Result<(), &'static str> {
    for pair in area.chunks_exact(24) {
        if pair[0] == 0 {
            return Ok(());
        }
        map.push((number(&pair[..12])?, number(&pair[12..])?));
    }
    Ok(())
}

/// The sum of all bytes with the sum's own field as spaces; old tars summed signed bytes.
fn verify_checksum(block: &[u8; BLOCK]) -> Result<(), &'static str> {
    let stated = signed(&block[148..156])?;
    let field = 148..156;
    let (mut unsigned_sum, mut signed_sum) = (0_i64, 0_i64);
    for (i, &byte) in block.iter().enumerate() {
        let byte = if field.contains(&i) { b' ' } else { byte };
        unsigned_sum += i64::from(byte);
        signed_sum += i64::from(byte as i8);
    }
    if stated == unsigned_sum || stated == signed_sum { Ok(()) } else { Err("header checksum is wrong") }
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    &field[..end]
}

fn number(field: &[u8]) -> Result<u64, &'static str> {
    u64::try_from(signed(field)?).map_err(|_| "a number in the header is negative")
}

/// Octal digits between spaces and NULs, or base-256 when the first bit is set (GNU).
fn signed(field: &[u8]) -> Result<i64, &'static str> {
    if field[0] & 0x80 != 0 {
        return base256(field);
    }
    let mut value = 0_u64;
    for &byte in field.iter().skip_while(|&&b| b == b' ' || b == 0) {
        match byte {
            b'0'..=b'7' if value >> 60 == 0 => value = value << 3 | u64::from(byte - b'0'),
            b'0'..=b'7' => return Err("a number in the header is too large"),
            b' ' | 0 => break,
            _ => return Err("a number in the header is not octal"),
        }
    }
    i64::try_from(value).map_err(|_| "a number in the header is too large")
}

/// Two's complement, big endian, with the marker bit taken as a copy of the sign.
fn base256(field: &[u8]) -> Result<i64, &'static str> {
    let negative = field[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (i, &byte) in field.iter().enumerate() {
        let byte = match (i, negative) {
            (0, false) => byte & 0x7f,
            _ => byte,
        };
        value = value << 8 | i128::from(byte);
        if i64::try_from(value).is_err() {
            return Err("a number in the header is too large");
        }
    }
    i64::try_from(value).map_err(|_| "a number in the header is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_their_spellings() {
        assert_eq!(signed(b"0000644\0"), Ok(0o644));
        assert_eq!(signed(b"    644 "), Ok(0o644));
        assert_eq!(signed(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(signed(b"0000008\0"), Err("a number in the header is not octal"));
        assert_eq!(signed(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Ok(256));
        assert_eq!(signed(&[0xff; 12]), Ok(-1));
        assert_eq!(
            signed(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Err("a number in the header is too large")
        );
        assert_eq!(number(&[0xff; 8]), Err("a number in the header is negative"));
        assert_eq!(signed(b"777777777777"), Ok(0o777_777_777_777));
    }

    #[test]
    fn zeros_end_and_a_wrong_sum_is_refused() {
        assert_eq!(parse(&[0; BLOCK]), Ok(None));
        let mut block = [0; BLOCK];
        block[0] = b'a';
        assert_eq!(parse(&block), Err("header checksum is wrong"));
    }
}
