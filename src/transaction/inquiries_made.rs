//! The inquiries made under one reference code, with hashes of the facts in their answers.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    amount::Amount,
    code_types::{StatusCode, TraceCode},
    details::Details,
    serial_number::SerialNumber,
};

/// The inquiries made under one reference code: a check of a purchase under the same code may find
/// them (docs/OKEBAYAR.md, section 3.2).
///
/// Each entry is an id and the status code of the answer. Hashes of the other facts in the answer
/// follow the id; an earlier release treats the whole text as an id and keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InquiriesMade(Vec<(String, Option<StatusCode>)>);

/// The limit on inquiries; all beyond it count as one with an unknown answer.
const INQUIRIES_MAX: usize = 32;
/// The id of an inquiry that the store may have lost; it is reserved.
const FORGOTTEN: &str = "forgotten";
/// The id of an inquiry as which OKEBAYAR processed the POST.
const OF_POST: &str = "post";
/// The separator between an id and the hashes of the answer's facts.
const SEPARATOR: char = ' ';
/// The limit on the hashes of one answer, and the bytes of each.
const HASHES_MAX: usize = 16;
const HASH_BYTES: usize = 12;

/// A fact in the answer to an inquiry that the answer to a purchase may contain too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InquiryFact {
    SerialNumber,
    TraceCode,
    Price,
}

impl InquiryFact {
    /// Returns the letter before the hash of the fact.
    fn letter(self) -> char {
        match self {
            Self::SerialNumber => 's',
            Self::TraceCode => 't',
            Self::Price => 'p',
        }
    }
}

/// The prefixes of the names of fields that a purchase may repeat as its serial number.
const SERIAL_NUMBER_PREFIXES: [&str; 3] = ["PLN_TOKEN", "PLN_NOREF", "REF"];

/// Returns the hash by which a text of one inquiry is recognized, regardless of case and
/// separators. The id is the salt.
fn hash(id: &str, kind: InquiryFact, text: &str) -> String {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    let plain: String = letters.flat_map(char::to_lowercase).collect();
    let digest = Sha256::digest(format!("{id}/{}/{plain}", kind.letter()));
    format!("{}{}", kind.letter(), hex::encode(&digest[..HASH_BYTES]))
}

/// Returns the canonical text of an amount.
fn written(amount: Amount) -> String {
    let (units, nanos) = amount.units_and_nanos();
    format!("{units}n{nanos}")
}

/// Returns the id of an entry, and the hashes of its answer's facts; `None` when the answer is
/// unknown.
fn parts(entry: &str) -> (&str, Option<&str>) {
    match entry.split_once(SEPARATOR) {
        Some((id, hashes)) => (id, Some(hashes)),
        None => (entry, None),
    }
}

impl InquiriesMade {
    /// Adds an inquiry that is about to be sent. Its `id` is unique and contains no blank.
    pub fn note(&mut self, id: &str) {
        if self.0.iter().any(|(entry, _)| parts(entry).0 == id) {
            return;
        }
        if self.0.len() < INQUIRIES_MAX {
            self.0.push((id.to_owned(), None));
        } else if let Some((entry, code)) = self.0.last_mut() {
            *code = None;
            entry.truncate(parts(entry).0.len());
        }
    }

    /// Records the answer to an inquiry. The answer to an inquiry without an entry remains unknown.
    pub fn note_answer(&mut self, id: &str, code: StatusCode, details: &Details) {
        let is_full = self.0.len() >= INQUIRIES_MAX;
        let place = self.0.iter().position(|(entry, _)| parts(entry).0 == id);
        // The last entry of a full list represents several inquiries.
        let Some(place) = place.filter(|place| !is_full || place + 1 < INQUIRIES_MAX) else {
            return;
        };
        let serial_number = details.serial_number.as_ref().map(SerialNumber::expose);
        let is_like_one = |name: &str| {
            let name = name.to_ascii_uppercase();
            SERIAL_NUMBER_PREFIXES
                .iter()
                .any(|start| name.starts_with(start))
        };
        let extra = details.extra.iter();
        let like_ones = extra.filter_map(|(name, text)| is_like_one(name).then_some(text));
        let trace_code = details.trace_code.as_ref().map(TraceCode::as_str);
        let price = details.price.map(written);
        let of = |kind| move |text: &str| hash(id, kind, text);
        let serial_numbers = serial_number.into_iter().chain(like_ones);
        let hashes: Vec<String> = (trace_code.map(of(InquiryFact::TraceCode)).into_iter())
            .chain(price.as_deref().map(of(InquiryFact::Price)))
            .chain(serial_numbers.map(of(InquiryFact::SerialNumber)))
            .take(HASHES_MAX)
            .collect();
        self.0[place] = (format!("{id}{SEPARATOR}{}", hashes.join(",")), Some(code));
    }

    /// Adds an inquiry that may have been made and lost by the store: any answer may be its answer.
    pub fn note_forgotten(&mut self) {
        self.note(FORGOTTEN);
    }

    /// Adds an inquiry as which OKEBAYAR processed the POST, with the code of its answer. The other
    /// facts of the answer are unknown.
    pub fn note_made_of_post(&mut self, code: Option<StatusCode>) {
        self.0.push((OF_POST.to_owned(), code));
    }

    /// Returns true when an inquiry other than `id` has no known answer.
    #[must_use]
    pub fn has_unanswered_beside(&self, id: &str) -> bool {
        let mut made = self.0.iter();
        made.any(|(entry, got)| got.is_none() && ![id, FORGOTTEN].contains(&parts(entry).0))
    }

    /// Removes an inquiry that was not sent. A full list keeps it, as one with an unknown
    /// answer: the last entry represents several inquiries, and must remain the last of a full
    /// list.
    pub fn forget(&mut self, id: &str) {
        if self.0.len() >= INQUIRIES_MAX {
            return;
        }
        self.0.retain(|(entry, _)| parts(entry).0 != id);
    }

    /// Returns true when there was an inquiry.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Returns true when an inquiry was, or may have been, answered with this code.
    #[must_use]
    pub fn may_have_got(&self, code: StatusCode) -> bool {
        self.0
            .iter()
            .any(|(_, got)| got.is_none_or(|got| got == code))
    }

    /// Returns true when an inquiry that the store has not lost was, or may have been, answered
    /// with this code.
    #[must_use]
    pub fn is_known_to_get(&self, code: StatusCode) -> bool {
        self.0
            .iter()
            .any(|(entry, got)| entry != FORGOTTEN && got.is_none_or(|got| got == code))
    }

    /// Returns true when an inquiry returned, or may have returned, this serial number. The answer
    /// to an inquiry may contain one (docs/OKEBAYAR.md, section 3), so an unknown answer may
    /// contain any.
    #[must_use]
    pub fn may_have_returned_serial_number(&self, number: &SerialNumber) -> bool {
        self.has_returned(InquiryFact::SerialNumber, number.expose(), true)
    }

    /// Returns true when an inquiry is known to have returned this serial number.
    #[must_use]
    pub fn returned_serial_number(&self, number: &SerialNumber) -> bool {
        self.has_returned(InquiryFact::SerialNumber, number.expose(), false)
    }

    /// Returns true when an inquiry returned this price. No documented inquiry before a purchase
    /// has a price, so an unknown answer counts as one without a price.
    #[must_use]
    pub fn returned_price(&self, price: Amount) -> bool {
        self.has_returned(InquiryFact::Price, &written(price), false)
    }

    /// Returns true when an inquiry returned this trace code. Each request has its own, so an
    /// unknown answer did not contain that of the POST.
    #[must_use]
    pub fn returned_trace_code(&self, code: &TraceCode) -> bool {
        self.has_returned(InquiryFact::TraceCode, code.as_str(), false)
    }

    /// Returns true when an answer contained a text; an unknown answer counts as `unknown`.
    fn has_returned(&self, kind: InquiryFact, text: &str, unknown: bool) -> bool {
        self.0.iter().any(|(entry, _)| match parts(entry) {
            (_, None) => unknown,
            (id, Some(hashes)) => {
                let wanted = hash(id, kind, text);
                hashes.split(',').any(|hash| hash == wanted)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> StatusCode {
        StatusCode::read(text).unwrap()
    }

    fn number(text: &str) -> SerialNumber {
        SerialNumber::read(text).unwrap()
    }

    #[test]
    fn an_inquiry_may_have_got_any_code_until_it_is_answered() {
        let mut made = InquiriesMade::default();
        assert!(!made.any() && !made.may_have_got(code("204")));
        made.note("a");
        assert!(made.any() && made.may_have_got(code("204")));
        made.note_answer("a", code("000"), &Details::default());
        assert!(made.any() && !made.may_have_got(code("204")));
        made.note("b");
        made.note_answer("b", code("204"), &Details::default());
        assert!(made.may_have_got(code("204")) && !made.may_have_got(code("205")));
        made.note("c");
        made.forget("c");
        assert!(!made.may_have_got(code("205")), "it was not sent");
        for number in 0..100 {
            let id = number.to_string();
            made.note(&id);
            made.note_answer(&id, code("000"), &Details::default());
        }
        assert!(made.may_have_got(code("205")), "too many to remember");
        assert!(made.may_have_returned_serial_number(&number("1")));
    }

    #[test]
    fn full_list_removes_no_inquiry() {
        let mut full = InquiriesMade::default();
        for number in 0..INQUIRIES_MAX {
            let id = number.to_string();
            full.note(&id);
            full.note_answer(&id, code("000"), &Details::default());
        }
        // The last stands for this one as well, which may have been answered with any code.
        full.note("sent");
        let last = (INQUIRIES_MAX - 1).to_string();
        for unsent in ["0", &last] {
            let mut made = full.clone();
            made.forget(unsent);
            made.note_answer(&last, code("000"), &Details::default());
            assert!(made.may_have_got(code("205")), "{unsent}");
        }
    }

    #[test]
    fn facts_of_an_answer_are_recognized_but_not_readable() {
        let token = "1234-5678-9012-3456-7890";
        let extra = vec![("PLN_TOKENUNSOLD1".to_owned(), "77 88".to_owned())];
        let details = Details {
            serial_number: SerialNumber::read(token),
            trace_code: TraceCode::parse("Trace-1").ok(),
            price: Amount::parse("10500").ok(),
            extra: extra.into_iter().collect(),
            ..Details::default()
        };
        let mut made = InquiriesMade::default();
        made.note("a");
        assert!(
            made.may_have_returned_serial_number(&number("5")),
            "not answered yet"
        );
        made.note_answer("a", code("000"), &details);
        let text = serde_json::to_string(&made).unwrap();
        for secret in [
            token,
            "12345678901234567890",
            "Trace-1",
            "10500",
            "7788",
            "77 88",
        ] {
            assert!(!text.contains(secret), "{text}");
        }
        let made: InquiriesMade = serde_json::from_str(&text).unwrap();
        for told in [token, "12345678901234567890", "7788"] {
            assert!(
                made.may_have_returned_serial_number(&number(told)),
                "{told}"
            );
        }
        assert!(!made.may_have_returned_serial_number(&number("5")));
        let trace_code = |text| TraceCode::parse(text).unwrap();
        assert!(made.returned_trace_code(&trace_code("trace1")));
        assert!(!made.returned_trace_code(&trace_code("trace2")));
        assert!(made.returned_price(Amount::parse("10500.00").unwrap()));
        assert!(!made.returned_price(Amount::parse("10501").unwrap()));
    }

    #[test]
    fn stored_form_is_readable_by_earlier_and_later_releases() {
        // An earlier release wrote no hashes, so the facts of its answers are unknown.
        let earlier = r#"[["a","000"],["b",null]]"#;
        let made: InquiriesMade = serde_json::from_str(earlier).unwrap();
        assert!(made.may_have_returned_serial_number(&number("5")));
        assert_eq!(serde_json::to_string(&made).unwrap(), earlier);
        let mut made = InquiriesMade::default();
        made.note("a");
        made.note_answer("a", code("000"), &Details::default());
        // An earlier release reads pairs of an id and a code.
        let text = serde_json::to_string(&made).unwrap();
        let read: Vec<(String, Option<StatusCode>)> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].1, Some(code("000")));
    }
}
