//! Sparse files: where the stored bytes go (GNU tar manual, "Storing Sparse Files").

use super::pax::decimal;

/// Map entries at most: beyond this a map is an attack, not a file.
const MAX_SEGMENTS: usize = 1 << 20;

/// Checks that segments rise, do not overlap, lie in the file and add up to the stored bytes.
pub(crate) fn check(map: &[(u64, u64)], real_size: u64, stored: u64) -> Result<(), &'static str> {
    const BAD: &str = "a sparse map is malformed";
    if map.len() > MAX_SEGMENTS {
        return Err("a sparse map has too many segments");
    }
    let (mut end, mut sum) = (0_u64, 0_u64);
    for &(offset, length) in map {
        if offset < end {
            return Err(BAD);
        }
        end = offset.checked_add(length).ok_or(BAD)?;
        sum = sum.checked_add(length).ok_or(BAD)?;
    }
    if end > real_size || sum != stored { Err(BAD) } else { Ok(()) }
}

/// Parser of the 1.0 map before a file's data: a count, then offset and length, one decimal a line.
#[derive(Debug, Default)]
pub(crate) struct MapInData {
    line: Vec<u8>,
    count: Option<usize>,
    offset: Option<u64>,
    pub(crate) map: Vec<(u64, u64)>,
}

impl MapInData {
    /// Takes a block; true when the map is complete (the rest of the block is padding).
    pub(crate) fn take(&mut self, block: &[u8]) -> Result<bool, &'static str> {
        for &byte in block {
            if byte != b'\n' {
                if self.line.len() == 20 {
                    return Err("a sparse map is malformed");
                }
                self.line.push(byte);
                continue;
            }
            let number = decimal(&self.line)?;
            self.line.clear();
            match (self.count, self.offset) {
                (None, _) => {
                    self.count = Some(
                        usize::try_from(number)
                            .ok()
                            .filter(|&n| n <= MAX_SEGMENTS)
                            .ok_or("a sparse map has too many segments")?,
                    )
                }
                (_, None) => self.offset = Some(number),
                (_, Some(offset)) => {
                    self.map.push((offset, number));
                    self.offset = None;
                }
            }
            if self.count == Some(self.map.len()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_lie_are_refused() {
        assert!(check(&[(0, 5), (10, 5)], 20, 10).is_ok());
        assert!(check(&[], 20, 0).is_ok());
        assert!(check(&[(0, 5), (4, 5)], 20, 10).is_err());
        assert!(check(&[(0, 5)], 4, 5).is_err());
        assert!(check(&[(0, 5)], 20, 6).is_err());
        assert!(check(&[(u64::MAX, 5)], u64::MAX, 5).is_err());
    }

    #[test]
    fn a_map_before_the_data_may_cross_blocks() {
        let mut map = MapInData::default();
        assert_eq!(map.take(b"2\n0\n5\n10"), Ok(false));
        assert_eq!(map.take(b"0\n7\n\0\0\0"), Ok(true));
        assert_eq!(map.map, vec![(0, 5), (100, 7)]);
        assert!(MapInData::default().take(b"99999999999\n").is_err());
    }
}
