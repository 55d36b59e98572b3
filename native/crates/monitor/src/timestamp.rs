//! RFC 3339 with nine digits, in UTC: the calendar part is worked out once per second. PURE.

/// Length of `2016-10-06T00:17:09.669794202Z`.
pub(crate) const LENGTH: usize = 30;

/// The last second's text, with room for the nanoseconds.
#[derive(Debug)]
pub(crate) struct Timestamp {
    second: i64,
    text: [u8; LENGTH],
}

impl Default for Timestamp {
    fn default() -> Self {
        Self { second: i64::MIN, text: *b"0000-00-00T00:00:00.000000000Z" }
    }
}

impl Timestamp {
    /// The text of a unix time in nanoseconds.
    pub(crate) fn format(&mut self, nanos: i64) -> &[u8; LENGTH] {
        let second = nanos.div_euclid(1_000_000_000);
        if second != self.second {
            self.second = second;
            self.set_calendar();
        }
        digits(&mut self.text[20..29], nanos.rem_euclid(1_000_000_000));
        &self.text
    }

    fn set_calendar(&mut self) {
        let (days, of_day) = (self.second.div_euclid(86_400), self.second.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let text = &mut self.text;
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], of_day / 3600);
        digits(&mut text[14..16], of_day / 60 % 60);
        digits(&mut text[17..19], of_day % 60);
    }
}

fn digits(place: &mut [u8], mut number: i64) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant, "days to civil").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let table = [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1_475_713_029_669_794_202, "2016-10-06T00:17:09.669794202Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (1_735_689_599_999_999_999, "2024-12-31T23:59:59.999999999Z"),
            (1_735_689_600_000_000_000, "2025-01-01T00:00:00.000000000Z"),
        ];
        let mut timestamp = Timestamp::default();
        for (nanos, text) in table {
            assert_eq!(timestamp.format(nanos), text.as_bytes(), "{text}");
        }
    }
}
