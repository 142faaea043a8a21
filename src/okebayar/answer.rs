//! What OKEBAYAR said, read with the tolerances of section 6 of the API page.
//!
//! A reader of one format (here JSON) makes a list of names and texts; this
//! module gives them meaning, the same for every format (promise 17).

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::additional_data;
use crate::transaction::{Amount, Details, Extra, SerialNumber, StatusCode, TraceCode};

/// Names and texts in the order in which they came.
pub type Fields = Vec<(String, String)>;

/// An answer that cannot be used as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The bytes are not of the expected format.
    #[error("it is not {format}: {problem}")]
    Malformed {
        /// The expected format.
        format: &'static str,
        /// What is wrong, without the text itself.
        problem: String,
    },
    /// One fact is said twice, differently.
    #[error("it gives {0} twice, with different values")]
    Ambiguous(&'static str),
}

/// What an answer, or a callback, says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status as written; `None` when there is none.
    pub status: Option<String>,
    /// The reference code it names; `None` when it names none.
    pub reference_code: Option<String>,
    /// The product it names.
    pub product_code: Option<String>,
    /// The account number it names.
    pub account_number: Option<String>,
    /// The message that an echo returns.
    pub message: Option<String>,
    /// The inquiry that it names.
    pub inquiry_code: Option<String>,
    /// True for an inquiry's answer, which is never evidence (API page, 3.1).
    pub is_inquiry: bool,
    /// Until when the inquiry may be paid, where that can be read.
    pub inquiry_expires: Option<Timestamp>,
    /// Everything else that is known.
    pub details: Details,
    /// Every name and text in order, `additionaldata` taken apart; no secret.
    pub fields: Fields,
}

impl Answer {
    /// The status code, where it is one.
    #[must_use]
    pub fn status_code(&self) -> Option<StatusCode> {
        StatusCode::read(self.status.as_deref()?)
    }

    /// The text under a name to the letter, so that it can be sent back; `None` when
    /// there is none.
    ///
    /// # Errors
    /// [`Unreadable::Ambiguous`] when there are two different ones.
    pub fn verbatim(&self, name: &'static str) -> Result<Option<&str>, Unreadable> {
        let mut found = None;
        for (known, text) in &self.fields {
            if !known.eq_ignore_ascii_case(name) {
                continue;
            }
            match found {
                Some(other) if other != text => return Err(Unreadable::Ambiguous(name)),
                _ => found = Some(text),
            }
        }
        Ok(found.map(String::as_str))
    }
}

/// Should an answer repeat them, they go no further (promise 15).
const SECRETS: [&str; 2] = ["userpin", "signature"];

/// The deepest nesting that is read, in every format.
pub(super) const DEPTH_MAX: usize = 32;
/// The most names that one answer may have, in every format.
pub(super) const FIELDS_MAX: usize = 512;
/// The longest text kept of `info`, in characters.
const INFO_CHARS_MAX: usize = 1024;
/// The longest raw text kept of a value that could not be read, in characters.
const UNREAD_CHARS_MAX: usize = 64;

/// Gives meaning to names and texts. Times without a zone are taken in `zone`.
///
/// # Errors
/// [`Unreadable::Ambiguous`] when one fact has two different values, under one
/// name or under two (`transactionstatus`, `responsecode`, `status`).
pub fn interpret(fields: Fields, zone: &TimeZone) -> Result<Answer, Unreadable> {
    let mut known = Known::default();
    let mut all = Fields::new();
    let mut extra = Fields::new();
    for (name, text) in fields {
        let plain = name.to_ascii_lowercase();
        if SECRETS.contains(&plain.as_str()) {
            continue;
        }
        // In JSON a control character may be escaped, in XML it cannot be told from
        // layout: a space in every format (promise 17).
        let text = text.replace(|c: char| c.is_ascii_control(), " ");
        if plain == additional_data::NAME {
            let inside = additional_data::read(&text);
            extra.extend(inside.iter().cloned());
            all.extend(inside);
            continue;
        }
        match known.slot(&plain) {
            Some(slot) => slot.fill(text.trim())?,
            None => extra.push((name.clone(), text.clone())),
        }
        all.push((name, text));
    }
    let mut unread = Vec::new();
    let price = read(&mut unread, &known.price, |text| Amount::parse(text).ok());
    let balance = read(&mut unread, &known.balance, |text| Amount::parse(text).ok());
    let time = read(&mut unread, &known.time, |text| read_time(text, zone));
    let details = Details {
        trace_code: known
            .trace_code
            .text()
            .and_then(|text| TraceCode::parse(text).ok()),
        serial_number: known
            .serial_number
            .text()
            .as_deref()
            .and_then(SerialNumber::read),
        price,
        balance,
        time,
        info: known
            .info
            .text()
            .map(|text| text.chars().take(INFO_CHARS_MAX).collect()),
        unread,
        extra: Extra::keep(extra),
    };
    let expiry = known.inquiry_expired.text();
    Ok(Answer {
        status: known.status.text(),
        reference_code: known.reference_code.text(),
        product_code: known.product_code.text(),
        account_number: known.account_number.text(),
        message: known.message.text(),
        inquiry_code: known.inquiry_code.text(),
        is_inquiry: known.inquiry_expired.text.is_some(),
        inquiry_expires: expiry.and_then(|text| read_expiry(&text, zone)),
        details,
        fields: all,
    })
}

/// The value, or `None` with the raw text kept: a slip in one value never spoils
/// the answer.
fn read<T>(
    unread: &mut Vec<(String, String)>,
    slot: &Slot,
    reader: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let text = slot.text()?;
    let value = reader(&text);
    if value.is_none() {
        unread.push((
            slot.name.to_owned(),
            text.chars().take(UNREAD_CHARS_MAX).collect(),
        ));
    }
    value
}

#[derive(Debug)]
struct Slot {
    name: &'static str,
    text: Option<String>,
}

impl Slot {
    fn fill(&mut self, text: &str) -> Result<(), Unreadable> {
        match &self.text {
            Some(known) if !known.is_empty() && !text.is_empty() && *known != text => {
                Err(Unreadable::Ambiguous(self.name))
            }
            Some(known) if !known.is_empty() => Ok(()),
            _ => {
                self.text = Some(text.to_owned());
                Ok(())
            }
        }
    }

    /// The text, or `None` when it is absent or empty.
    fn text(&self) -> Option<String> {
        self.text.clone().filter(|text| !text.is_empty())
    }
}

macro_rules! known {
    ($($slot:ident: $name:literal $(| $alias:literal)*),* $(,)?) => {
        #[derive(Debug)]
        struct Known { $($slot: Slot),* }

        impl Default for Known {
            fn default() -> Self {
                Self { $($slot: Slot { name: $name, text: None }),* }
            }
        }

        impl Known {
            fn slot(&mut self, name: &str) -> Option<&mut Slot> {
                match name {
                    $($name $(| $alias)* => Some(&mut self.$slot),)*
                    _ => None,
                }
            }
        }
    };
}

known! {
    trace_code: "tracecode",
    status: "transactionstatus" | "responsecode" | "status",
    time: "transactiontime" | "responsetime",
    serial_number: "serialnumber",
    price: "harga",
    balance: "balance",
    product_code: "productcode",
    account_number: "accnumber" | "accnumber1",
    reference_code: "referencecode",
    info: "info",
    message: "message",
    inquiry_code: "inquirycode",
    inquiry_expired: "inquiryexpired",
    user_id: "userid",
}

const TIME_DIGITS: usize = 15;
/// The digits of a time without milliseconds.
const SHORT_TIME_DIGITS: usize = 12;
const CENTURY: i16 = 2000;

/// Reads `YYMMDDHHmmssSSS` in the given zone; anything else is `None`.
fn read_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
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

/// Reads the forms in which `inquiryexpired` is printed: `YYMMDDHHmmss`,
/// `YYYY-MM-DD HH:mm:ss.SSS`, and the common one.
fn read_expiry(text: &str, zone: &TimeZone) -> Option<Timestamp> {
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

    fn answer(fields: &[(&str, &str)]) -> Result<Answer, Unreadable> {
        let fields = fields
            .iter()
            .map(|(n, t)| ((*n).to_owned(), (*t).to_owned()))
            .collect();
        interpret(fields, &wib())
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

    #[test]
    fn a_secret_in_an_answer_goes_no_further() {
        let read = answer(&[
            ("status", "000"),
            ("UserPin", "1"),
            ("signature", "2"),
            ("x", "3"),
        ]);
        let names: Vec<String> = read
            .unwrap()
            .fields
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["status", "x"]);
    }

    #[test]
    fn what_goes_back_to_the_letter_must_be_one_text() {
        let read = answer(&[("REF1", " a "), ("ref2", "b"), ("ref2", "c")]).unwrap();
        assert_eq!(read.verbatim("ref1"), Ok(Some(" a ")));
        assert_eq!(read.verbatim("ref2"), Err(Unreadable::Ambiguous("ref2")));
        assert_eq!(read.verbatim("ref3"), Ok(None));
    }

    #[test]
    fn one_fact_under_two_names_must_agree() {
        let same = answer(&[("transactionstatus", "000"), ("Status", "000")]).unwrap();
        assert_eq!(same.status.as_deref(), Some("000"));
        let other = answer(&[("transactionstatus", "000"), ("responsecode", "204")]);
        assert_eq!(other, Err(Unreadable::Ambiguous("transactionstatus")));
    }

    #[test]
    fn an_unreadable_value_is_kept_raw_and_spoils_nothing() {
        let read = answer(&[("status", "000"), ("harga", "Rp 11.000"), ("BALANCE", "5")]).unwrap();
        assert_eq!(read.status_code(), StatusCode::read("000"));
        assert_eq!(read.details.price, None);
        assert_eq!(
            read.details.unread,
            [("harga".to_owned(), "Rp 11.000".to_owned())]
        );
        assert_eq!(read.details.balance, Amount::parse("5").ok());
    }

    #[test]
    fn an_empty_inquiryexpired_still_marks_an_inquiry() {
        assert!(
            answer(&[("status", "000"), ("Inquiryexpired", "")])
                .unwrap()
                .is_inquiry
        );
    }
}
