//! The inquiries that were made under one reference code, and what they told.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    amount::Amount,
    codes::{StatusCode, TraceCode},
    details::Details,
    serial_number::SerialNumber,
};

/// The inquiries that were made under one reference code: a check of a purchase
/// under the same one may find them (API page, 3.2).
///
/// Each is an id and the status code of its answer. What else the answer told follows the id,
/// as hashes: an earlier release takes the whole for an id, and keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InquiriesMade(Vec<(String, Option<StatusCode>)>);

/// The most inquiries remembered; more count as one with an unknown answer.
const INQUIRIES_MAX: usize = 32;
/// Stands for an inquiry that the store may have forgotten; no inquiry has this id.
const FORGOTTEN: &str = "forgotten";
/// Stands for an inquiry that OKEBAYAR made of the POST.
const OF_POST: &str = "post";
/// Stands between an id and the hashes of what the answer told.
const TOLD: char = ' ';
/// The most hashes kept of one answer, and the bytes of each.
const HASHES_MAX: usize = 16;
const HASH_BYTES: usize = 12;

/// What an inquiry tells that a purchase tells too, by the letter before its hash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InquiryFact {
    SerialNumber,
    TraceCode,
    Price,
}

impl InquiryFact {
    fn letter(self) -> char {
        match self {
            Self::SerialNumber => 's',
            Self::TraceCode => 't',
            Self::Price => 'p',
        }
    }
}

/// How the names of texts begin that a purchase may repeat as its serial number.
const LIKE_SERIAL_NUMBERS: [&str; 3] = ["PLN_TOKEN", "PLN_NOREF", "REF"];

/// Returns the hash of a text of one inquiry, by which the text is known again in any case and
/// with any separators. The id is its salt.
fn hash(id: &str, kind: InquiryFact, text: &str) -> String {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    let plain: String = letters.flat_map(char::to_lowercase).collect();
    let digest = Sha256::digest(format!("{id}/{}/{plain}", kind.letter()));
    format!("{}{}", kind.letter(), hex::encode(&digest[..HASH_BYTES]))
}

/// Returns the one written form of an amount.
fn written(amount: Amount) -> String {
    let (units, nanos) = amount.units_and_nanos();
    format!("{units}n{nanos}")
}

/// Returns the id of an entry, and the hashes of what its answer told; `None` when that is not
/// known.
fn parts(entry: &str) -> (&str, Option<&str>) {
    match entry.split_once(TOLD) {
        Some((id, told)) => (id, Some(told)),
        None => (entry, None),
    }
}

impl InquiriesMade {
    /// Adds an inquiry that is about to be sent; `id` is unique to it, and holds no blank.
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

    /// Adds what an inquiry was answered. One that was never noted, or no longer is, stays
    /// unknown.
    pub fn note_answer(&mut self, id: &str, code: StatusCode, details: &Details) {
        let is_full = self.0.len() >= INQUIRIES_MAX;
        let place = self.0.iter().position(|(entry, _)| parts(entry).0 == id);
        // The last of a full list stands for several.
        let Some(place) = place.filter(|place| !is_full || place + 1 < INQUIRIES_MAX) else {
            return;
        };
        let serial_number = details.serial_number.as_ref().map(SerialNumber::expose);
        let is_like_one = |name: &str| {
            let name = name.to_ascii_uppercase();
            LIKE_SERIAL_NUMBERS
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
        self.0[place] = (format!("{id}{TOLD}{}", hashes.join(",")), Some(code));
    }

    /// Adds an inquiry that the store may have forgotten, if there was one: any answer may
    /// be that one's.
    pub fn note_forgotten(&mut self) {
        self.note(FORGOTTEN);
    }

    /// Adds an inquiry that OKEBAYAR made of the POST, with the code of its answer. What else it
    /// told is not known.
    pub fn note_made_of_post(&mut self, code: Option<StatusCode>) {
        self.0.push((OF_POST.to_owned(), code));
    }

    /// Returns true when one besides `id` has no known answer.
    #[must_use]
    pub fn has_unanswered_beside(&self, id: &str) -> bool {
        let mut made = self.0.iter();
        made.any(|(entry, got)| got.is_none() && ![id, FORGOTTEN].contains(&parts(entry).0))
    }

    /// Takes back an inquiry that was not sent after all. A full list keeps it, as one with an
    /// unknown answer: its last stands for several, and must stay the last of a full list.
    pub fn forget(&mut self, id: &str) {
        if self.0.len() >= INQUIRIES_MAX {
            return;
        }
        self.0.retain(|(entry, _)| parts(entry).0 != id);
    }

    /// True when there was one.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// True when one was, or may have been, answered with this code.
    #[must_use]
    pub fn may_have_got(&self, code: StatusCode) -> bool {
        self.0
            .iter()
            .any(|(_, got)| got.is_none_or(|got| got == code))
    }

    /// Returns true when one that the store remembers was, or may have been, answered with this
    /// code.
    #[must_use]
    pub fn is_known_to_get(&self, code: StatusCode) -> bool {
        self.0
            .iter()
            .any(|(entry, got)| entry != FORGOTTEN && got.is_none_or(|got| got == code))
    }

    /// Returns true when one told, or may have told, this serial number: an inquiry's answer may
    /// have one (API page, section 3), so that one whose answer is unknown may have told any.
    #[must_use]
    pub fn may_have_told_serial_number(&self, number: &SerialNumber) -> bool {
        self.has_told(InquiryFact::SerialNumber, number.expose(), true)
    }

    /// Returns true when one is known to have told this serial number.
    #[must_use]
    pub fn told_serial_number(&self, number: &SerialNumber) -> bool {
        self.has_told(InquiryFact::SerialNumber, number.expose(), false)
    }

    /// Returns true when one told this price. No inquiry before a purchase is printed with one,
    /// so that one whose answer is unknown told none.
    #[must_use]
    pub fn told_price(&self, price: Amount) -> bool {
        self.has_told(InquiryFact::Price, &written(price), false)
    }

    /// Returns true when one told this trace code. Each hit has its own, so that one whose
    /// answer is unknown did not tell that of the POST.
    #[must_use]
    pub fn told_trace_code(&self, code: &TraceCode) -> bool {
        self.has_told(InquiryFact::TraceCode, code.as_str(), false)
    }

    fn has_told(&self, kind: InquiryFact, text: &str, unknown: bool) -> bool {
        self.0.iter().any(|(entry, _)| match parts(entry) {
            (_, None) => unknown,
            (id, Some(told)) => {
                let wanted = hash(id, kind, text);
                told.split(',').any(|hash| hash == wanted)
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
        assert!(made.may_have_told_serial_number(&number("1")));
    }

    #[test]
    fn nothing_is_taken_back_from_a_full_list() {
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
    fn what_an_inquiry_told_is_known_again_and_cannot_be_read() {
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
            made.may_have_told_serial_number(&number("5")),
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
            assert!(made.may_have_told_serial_number(&number(told)), "{told}");
        }
        assert!(!made.may_have_told_serial_number(&number("5")));
        let trace_code = |text| TraceCode::parse(text).unwrap();
        assert!(made.told_trace_code(&trace_code("trace1")));
        assert!(!made.told_trace_code(&trace_code("trace2")));
        assert!(made.told_price(Amount::parse("10500.00").unwrap()));
        assert!(!made.told_price(Amount::parse("10501").unwrap()));
    }

    #[test]
    fn earlier_and_later_releases_read_each_others_notes() {
        // What an earlier release wrote: nothing is known of what was told.
        let earlier = r#"[["a","000"],["b",null]]"#;
        let made: InquiriesMade = serde_json::from_str(earlier).unwrap();
        assert!(made.may_have_told_serial_number(&number("5")));
        assert_eq!(serde_json::to_string(&made).unwrap(), earlier);
        let mut made = InquiriesMade::default();
        made.note("a");
        made.note_answer("a", code("000"), &Details::default());
        // What an earlier release reads: pairs of an id and a code.
        let text = serde_json::to_string(&made).unwrap();
        let read: Vec<(String, Option<StatusCode>)> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].1, Some(code("000")));
    }
}
