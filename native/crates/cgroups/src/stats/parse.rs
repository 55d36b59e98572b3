//! Reading the texts of cgroup files without allocating.

use super::{Io, Psi, PsiLine};

/// A number up to the first byte that is no digit.
pub fn number(text: &[u8]) -> u64 {
    text.iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0_u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0')))
}

/// A limit: "max", -1 and what v1 prints for none (close to 2^63) are `None`.
pub fn limit(text: &[u8]) -> Option<u64> {
    let first = text.first()?;
    first.is_ascii_digit().then(|| number(text)).filter(|n| *n < 1 << 62)
}

/// Shows each "key value" line of a flat keyed file.
pub fn keyed(text: &[u8], mut each: impl FnMut(&[u8], u64)) {
    keyed_text(text, |key, value| each(key, number(value)));
}

/// The same with the text of the value: of a long file few lines are wanted, and numbers take time.
pub fn keyed_text(text: &[u8], mut each: impl FnMut(&[u8], &[u8])) {
    for line in lines(text) {
        if let Some(space) = line.iter().position(|b| *b == b' ') {
            each(&line[..space], &line[space + 1..]);
        }
    }
}

/// The lines of a text without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

/// A pressure file. `full` of the CPU is absent before Linux 5.13 and stays zero.
pub fn psi(text: &[u8]) -> Psi {
    let mut psi = Psi::default();
    for line in lines(text) {
        let mut words = line.split(|b| *b == b' ');
        let into = match words.next() {
            Some(b"some") => &mut psi.some,
            Some(b"full") => &mut psi.full,
            _ => continue,
        };
        *into = psi_line(words);
    }
    psi
}

fn psi_line<'a>(words: impl Iterator<Item = &'a [u8]>) -> PsiLine {
    let mut line = PsiLine::default();
    for word in words {
        let Some(at) = word.iter().position(|b| *b == b'=') else { continue };
        let value = &word[at + 1..];
        match &word[..at] {
            b"avg10" => line.avg10 = percent(value),
            b"avg60" => line.avg60 = percent(value),
            b"avg300" => line.avg300 = percent(value),
            b"total" => line.total_us = number(value),
            _ => {}
        }
    }
    line
}

/// "12.34": two digits behind the point, as the kernel prints loads.
fn percent(text: &[u8]) -> f64 {
    let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let hundredths = text.get(point + 1..).map_or(0, number);
    (number(&text[..point]) * 100 + hundredths) as f64 / 100.0
}

/// "8:16" of the start of a line, and the rest behind the space.
pub fn device(line: &[u8]) -> Option<(u32, u32, &[u8])> {
    let colon = line.iter().position(|b| *b == b':')?;
    let space = line.iter().position(|b| *b == b' ')?;
    if colon == 0 || colon > space || !line[..colon].iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((number(&line[..colon]) as u32, number(&line[colon + 1..space]) as u32, &line[space + 1..]))
}

/// The entry of a device, made if need be. There are few: a search is cheapest.
pub fn io_entry(list: &mut Vec<Io>, major: u32, minor: u32) -> &mut Io {
    let at = list.iter().position(|io| io.major == major && io.minor == minor).unwrap_or_else(|| {
        list.push(Io { major, minor, ..Io::default() });
        list.len() - 1
    });
    &mut list[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_limits() {
        assert_eq!(number(b"4096\n"), 4096);
        assert_eq!(number(b""), 0);
        assert_eq!(limit(b"max\n"), None);
        assert_eq!(limit(b"-1\n"), None);
        assert_eq!(limit(b"9223372036854771712\n"), None);
        assert_eq!(limit(b"1048576\n"), Some(1_048_576));
    }

    #[test]
    fn pressure_files() {
        let psi = psi(
            b"some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=99\n",
        );
        assert_eq!((psi.some.avg10, psi.some.avg60, psi.some.total_us), (1.5, 0.25, 1234));
        assert_eq!((psi.full.avg10, psi.full.total_us), (0.5, 99));
    }

    #[test]
    fn devices() {
        assert_eq!(device(b"8:16 Read 5"), Some((8, 16, b"Read 5".as_slice())));
        assert_eq!(device(b"Total 5"), None);
        assert_eq!(device(b""), None);
    }
}
