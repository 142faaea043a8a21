//! The times in an answer (docs/OKEBAYAR.md, section 1).

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// The digits of a time with milliseconds.
const TIME_DIGITS: usize = 15;

/// The digits of a time without milliseconds.
const SHORT_TIME_DIGITS: usize = 12;

const CENTURY: i16 = 2000;

/// Parses `YYMMDDHHmmssSSS` in the given zone; `None` for anything else.
pub(super) fn read_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if text.len() != TIME_DIGITS || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let pair = |at: usize| text[at..at + 2].parse::<i8>().ok();
    let millis: i32 = text[12..].parse().ok()?;
    let civil = DateTime::new(
        CENTURY + i16::from(pair(0)?),
        pair(2)?,
        pair(4)?,
        pair(6)?,
        pair(8)?,
        pair(10)?,
        millis * 1_000_000,
    );
    Some(civil.ok()?.to_zoned(zone.clone()).ok()?.timestamp())
}

/// Parses the documented forms of `inquiryexpired`: `YYMMDDHHmmss`, `YYYY-MM-DD HH:mm:ss.SSS`, and
/// the form of every other time.
pub(super) fn read_expiry(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if text.len() == SHORT_TIME_DIGITS {
        return read_time(&format!("{text}000"), zone);
    }
    read_time(text, zone).or_else(|| {
        let civil: DateTime = text.contains('-').then(|| text.parse().ok()).flatten()?;
        Some(civil.to_zoned(zone.clone()).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wib() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(7))
    }

    #[test]
    fn times_are_read_in_wib_to_the_millisecond() {
        let time = read_time("200501013059123", &wib()).unwrap();
        assert_eq!(time.to_string(), "2020-04-30T18:30:59.123Z");
        for text in [
            "YYMMddHHmmssSSS",
            "20050101305912",
            "201301013059123",
            "200501243059123",
            "",
        ] {
            assert_eq!(read_time(text, &wib()), None, "{text}");
        }
    }

    #[test]
    fn an_expiry_is_read_in_every_printed_form() {
        for (text, expected) in [
            ("2020-03-25 20:09:12.374", "2020-03-25T13:09:12.374Z"),
            ("2020-03-25 20:09:12", "2020-03-25T13:09:12Z"),
            ("200325200912", "2020-03-25T13:09:12Z"),
            ("200325200912374", "2020-03-25T13:09:12.374Z"),
        ] {
            let read = read_expiry(text, &wib()).unwrap();
            assert_eq!(read.to_string(), expected, "{text}");
        }
        for text in ["", "soon", "2020-13-25 20:09:12", "20032520091", "99999999"] {
            assert_eq!(read_expiry(text, &wib()), None, "{text}");
        }
    }
}
