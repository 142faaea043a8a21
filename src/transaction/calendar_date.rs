//! Calendar days and months in OKEBAYAR's answers, whose forms are not documented.

use jiff::civil::Date;

/// A day, or a whole month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarDate {
    /// The year.
    pub year: i16,
    /// The month, 1 to 12.
    pub month: i8,
    /// The day, 1 to 31; `None` for a whole month.
    pub day: Option<i8>,
}

impl CalendarDate {
    /// Parses a month: `YYYYMM` or `YYYY-MM`. Returns `None` for any other text.
    #[must_use]
    pub fn parse_month(text: &str) -> Option<Self> {
        let digits = digits(text, &[4])?;
        let [year, month] = [digits.get(..4)?, digits.get(4..)?];
        let first = date(year, month, "01")?;
        Some(Self {
            year: first.year(),
            month: first.month(),
            day: None,
        })
    }

    /// Parses a day: `YYYYMMDD` or `YYYY-MM-DD`. Returns `None` for any other text: a form with the
    /// day first cannot be distinguished with certainty.
    #[must_use]
    pub fn parse_day(text: &str) -> Option<Self> {
        let digits = digits(text, &[4, 7])?;
        let date = date(digits.get(..4)?, digits.get(4..6)?, digits.get(6..)?)?;
        Some(Self {
            year: date.year(),
            month: date.month(),
            day: Some(date.day()),
        })
    }
}

/// The years that a bill may have. Others are more likely another form of date.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2099;

fn date(year: &str, month: &str, day: &str) -> Option<Date> {
    if month.len() != 2 || day.len() != 2 {
        return None;
    }
    let year: i16 = year.parse().ok().filter(|year| YEARS.contains(year))?;
    Date::new(year, month.parse().ok()?, day.parse().ok()?).ok()
}

/// Returns the digits of a text of digits, without hyphens or with hyphens at exactly these
/// positions; `None` for any other text.
fn digits(text: &str, hyphens: &[usize]) -> Option<String> {
    let found: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    if !found.is_empty() && found != hyphens {
        return None;
    }
    let digits = text.replace('-', "");
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn month_and_day_are_read_only_from_certain_forms() {
        let month = |text| CalendarDate::parse_month(text).map(|date| (date.year, date.month));
        assert_eq!(month("202610"), Some((2026, 10)));
        assert_eq!(month("2026-10"), Some((2026, 10)));
        for text in [
            "", "202613", "102026", "OKT26", "2026", "2610", "20261", "2026-1", "2026 10",
        ] {
            assert_eq!(month(text), None, "{text}");
        }
        let day =
            |text| CalendarDate::parse_day(text).map(|date| (date.year, date.month, date.day));
        assert_eq!(day("20261020"), Some((2026, 10, Some(20))));
        assert_eq!(day("2026-02-28"), Some((2026, 2, Some(28))));
        for text in [
            "",
            "20261032",
            "20102026",
            "2026-1020",
            "202610",
            "20-10-2026",
            "261020",
            "+2026101",
            "2026102é",
        ] {
            assert_eq!(day(text), None, "{text}");
        }
    }
}
