//! The reader of an answer: sorts names and texts into an [`Answer`], and removes secrets.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::{
    known_fields::{KnownField, KnownFields},
    redaction::{Redaction, VERBATIM, redaction},
    times::{read_expiry, read_time},
};
use crate::{
    okebayar::{
        additional_data::{self, Budget},
        answer::Answer,
        fields::{Fields, Unreadable},
        redact::{self, RequestSecrets},
    },
    transaction::{Details, ExtraFields, ExtraFieldsBuilder, Quoted, SerialNumber, TraceCode},
};

/// The longest `info` that is kept, in characters.
const INFO_CHARS_MAX: usize = 1024;

/// The longest raw text kept of an unreadable value, in characters.
const UNREAD_CHARS_MAX: usize = 64;

const SERIAL_NUMBER: &str = "serialnumber";

/// The request that an answer belongs to, as far as reading it depends on that.
#[derive(Clone, Copy, Debug)]
pub struct AnswerContext<'a> {
    /// The zone of times without one.
    pub zone: &'a TimeZone,
    /// The secrets that the answer may quote and that must not be kept.
    pub secrets: &'a RequestSecrets,
    /// The member that asked; `None` where answers for any member are accepted.
    pub member: Option<&'a str>,
}

/// Gives meaning to names and texts, without a request. Times without a zone are in `zone`.
///
/// # Errors
/// Those of [`interpret_for`].
pub fn interpret(fields: Fields, zone: &TimeZone) -> Result<Answer, Unreadable> {
    let context = AnswerContext {
        zone,
        secrets: &RequestSecrets::default(),
        member: None,
    };
    interpret_for(fields, &context)
}

/// Gives meaning to the names and texts of the answer to a request.
///
/// # Errors
/// [`Unreadable::Ambiguous`] when the status, an identifier or the serial number has two
/// different values, under one name or under two (`transactionstatus`, `responsecode`,
/// `status`). Two different values of anything else count as none.
pub fn interpret_for(fields: Fields, context: &AnswerContext<'_>) -> Result<Answer, Unreadable> {
    let mut reader = AnswerReader::default();
    for (name, text) in fields {
        reader.read(name, text, context)?;
    }
    Ok(reader.finish(context))
}

/// The names and texts read so far.
#[derive(Default)]
struct AnswerReader {
    known: KnownFields,
    fields: Fields,
    extra: ExtraFieldsBuilder,
    budget: Budget,
    withheld: Vec<&'static str>,
}

impl AnswerReader {
    fn read(
        &mut self,
        name: String,
        text: String,
        context: &AnswerContext<'_>,
    ) -> Result<(), Unreadable> {
        let secrets = context.secrets;
        let name = plain_name(name);
        let plain = name.to_ascii_lowercase();
        if redact::is_secret(&plain) || matches!(secrets.strip(&name), Cow::Owned(_)) {
            return Ok(());
        }
        if plain == additional_data::NAME {
            self.read_additional_data(&text, secrets);
            return Ok(());
        }
        let verbatim = VERBATIM.into_iter().find(|name| *name == plain);
        let text = if verbatim.is_some() {
            text
        } else {
            without_controls(&text)
        };
        let safe = match redaction(&plain, &text, context.zone) {
            Redaction::FreeText => secrets.strip_free_text(&text),
            Redaction::QuotedSecrets => secrets.strip(&text),
            Redaction::WholeOrNothing => {
                let stripped = secrets.strip(&text);
                if matches!(stripped, Cow::Owned(_)) {
                    self.withheld.extend(verbatim);
                    Cow::Borrowed("")
                } else {
                    stripped
                }
            }
        };
        let field = self.known.field(&plain);
        if field.as_ref().is_none_or(|field| field.is_shown) {
            self.extra.keep(&name, &safe);
        }
        if let Some(field) = field {
            let text = without_controls(&safe);
            let text = text.trim();
            // A placeholder beside a serial number is no contradiction.
            let is_absent = plain == SERIAL_NUMBER && SerialNumber::read(text).is_none();
            field.fill(if is_absent { "" } else { text })?;
        }
        self.fields.push((name, safe.into_owned()));
        Ok(())
    }

    fn read_additional_data(&mut self, text: &str, secrets: &RequestSecrets) {
        for (name, text) in inside(&without_controls(text), &mut self.budget, secrets) {
            self.extra.keep(&name, &text);
            self.fields.push((name, text));
        }
    }

    fn finish(self, context: &AnswerContext<'_>) -> Answer {
        let known = self.known;
        let names_another_member = match (context.member, known.user_id.text()) {
            (Some(ours), Some(named)) => !named.eq_ignore_ascii_case(ours.trim()),
            _ => false,
        };
        let expiry = known.inquiry_expired.text();
        let (extra, left_out) = self.extra.finish();
        Answer {
            status: known.status.text(),
            reference_code: known.reference_code.text(),
            product_code: known.product_code.text(),
            account_number: known.account_number.text(),
            account_number_2: known.account_number_2.text(),
            account_number_3: known.account_number_3.text(),
            message: known.message.text(),
            inquiry_code: known.inquiry_code.text(),
            names_another_member,
            user_id: known.user_id.text(),
            is_inquiry: known.inquiry_expired.is_named,
            inquiry_expires: expiry.and_then(|text| read_expiry(&text, context.zone)),
            details: details(&known, extra, context.zone),
            fields: self.fields,
            left_out,
            withheld: self.withheld,
        }
    }
}

fn details(known: &KnownFields, extra: ExtraFields, zone: &TimeZone) -> Details {
    let amount = |text: &str| Quoted::read(text).amount();
    let mut unread = Vec::new();
    let price = read(&mut unread, &known.price, amount);
    let balance = read(&mut unread, &known.balance, amount);
    let time = read(&mut unread, &known.time, |text| read_time(text, zone));
    Details {
        trace_code: known.trace_code.text().as_deref().and_then(TraceCode::read),
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
            .joined()
            .map(|text| text.chars().take(INFO_CHARS_MAX).collect()),
        unread,
        extra,
    }
}

/// Replaces each control character, and each end of a line, by one blank: XML cannot distinguish
/// either from layout (promise 17).
fn without_controls(text: &str) -> String {
    text.replace("\r\n", " ")
        .replace(|c: char| c.is_ascii_control(), " ")
}

/// Replaces each control character of a name by a blank, and trims the name.
fn plain_name(name: String) -> String {
    if name.contains(|c: char| c.is_ascii_control()) {
        without_controls(&name).trim().to_owned()
    } else {
        name
    }
}

/// Returns the names and texts inside an `additionaldata`, without secret fields.
fn inside(
    text: &str,
    budget: &mut additional_data::Budget,
    secrets: &RequestSecrets,
) -> impl Iterator<Item = (String, String)> {
    let inside = additional_data::read(text, budget).into_iter();
    let inside = inside.map(|(name, text)| (plain_name(name), text));
    let is_secret = |name: &str| name.rsplit('.').any(redact::is_secret);
    inside
        .filter(move |(name, _)| {
            !is_secret(name) && matches!(secrets.strip(name), Cow::Borrowed(_))
        })
        .map(|(name, text)| (name, secrets.strip(&without_controls(&text)).into_owned()))
}

/// Returns the value of a field. Without one valid value, adds the raw texts to `unread` and
/// returns `None`: one bad value never makes the answer unreadable. Texts of equal value are one
/// value.
fn read<T: PartialEq>(
    unread: &mut Vec<(String, String)>,
    field: &KnownField,
    reader: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let mut values = field.texts.iter().map(|text| reader(text));
    let first = values.next()?;
    if first.is_some() && values.all(|value| value == first) {
        return first;
    }
    unread.extend(field.texts.iter().map(|text| {
        let shown = text.chars().take(UNREAD_CHARS_MAX).collect();
        (field.name.to_owned(), shown)
    }));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::StatusCode;

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
    fn secret_fields_of_an_answer_are_dropped() {
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
    fn verbatim_text_is_ambiguous_with_two_values() {
        let read = answer(&[("REF1", " a "), ("ref2", "b"), ("ref2", "c")]).unwrap();
        assert_eq!(read.verbatim("ref1"), Ok(Some(" a ")));
        assert_eq!(read.verbatim("ref2"), Err(Unreadable::Ambiguous("ref2")));
        assert_eq!(read.verbatim("ref3"), Ok(None));
    }

    #[test]
    fn placeholder_beside_a_serial_number_is_no_conflict() {
        for texts in [["-", "1122"], ["1122", "N/A"]] {
            let read = answer(&texts.map(|text| ("serialnumber", text))).unwrap();
            assert_eq!(read.details.serial_number, SerialNumber::read("1122"));
        }
        let other = answer(&[("serialnumber", "1122"), ("serialnumber", "1123")]);
        assert_eq!(other, Err(Unreadable::Ambiguous("serialnumber")));
    }

    #[test]
    fn status_under_two_names_must_agree() {
        let same = answer(&[("transactionstatus", "000"), ("Status", "000")]).unwrap();
        assert_eq!(same.status.as_deref(), Some("000"));
        let other = answer(&[("transactionstatus", "000"), ("responsecode", "204")]);
        assert_eq!(other, Err(Unreadable::Ambiguous("transactionstatus")));
    }

    #[test]
    fn unreadable_value_is_kept_raw_and_answer_stays_readable() {
        let read = answer(&[("status", "000"), ("harga", "Rp 11.000"), ("BALANCE", "5")]).unwrap();
        assert_eq!(read.status_code(), StatusCode::read("000"));
        assert_eq!(read.details.price, None);
        assert_eq!(
            read.details.unread,
            [("harga".to_owned(), "Rp 11.000".to_owned())]
        );
        assert_eq!(read.details.balance, Quoted::read("5").amount());
    }

    #[test]
    fn amount_with_thousands_separator_is_unreadable_and_empty_one_absent() {
        for text in ["105.000", "105.000,00", "105,000", "1.5E3", "-5000"] {
            let read = answer(&[("status", "000"), ("harga", text), ("balance", text)]).unwrap();
            assert_eq!(read.status_code(), StatusCode::read("000"), "{text}");
            assert_eq!((read.details.price, read.details.balance), (None, None));
            let unread = ["harga", "balance"].map(|name| (name.to_owned(), text.to_owned()));
            assert_eq!(read.details.unread, unread);
        }
        let read = answer(&[("status", "000"), ("harga", ""), ("balance", " ")]).unwrap();
        assert_eq!((read.details.price, read.details.balance), (None, None));
        assert_eq!(read.details.unread, []);
    }

    #[test]
    fn control_characters_stay_in_verbatim_texts_and_become_blanks_elsewhere() {
        let read = answer(&[("ref1", "a\t\r\nb\0"), ("x", "a\t\r\nb"), ("info", "c\rd")]);
        let read = read.unwrap();
        assert_eq!(read.verbatim("ref1"), Ok(Some("a\t\r\nb\0")));
        assert_eq!(read.fields[1].1, "a  b");
        assert_eq!(read.details.info.as_deref(), Some("c d"));
    }

    const SIGNATURE: &str = "329e765e5e7f0732522ffe45e12b3b3a";

    fn answer_to(pin: &str, fields: &[(&str, &str)]) -> Answer {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let context = AnswerContext {
            zone: &wib(),
            secrets: &RequestSecrets::new(pin.into(), SIGNATURE.into()),
            member: Some("userId"),
        };
        interpret_for(fields.iter().map(own).collect(), &context).unwrap()
    }

    #[test]
    fn quoted_request_leaves_no_secret_in_an_answer() {
        let quoted = format!("bad: {{\"userpin\":\"123456\",\"signature\":\"{SIGNATURE}\"}}");
        let bare = format!("123456 and {SIGNATURE}");
        let read = answer_to(
            "123456",
            &[
                ("info", &quoted),
                ("responsestatus", &bare),
                ("transactiontime", &bare),
                ("status", &bare),
                ("faultstring", &bare),
                ("anything", &quoted),
                ("additionaldata", &quoted),
                ("additionaldata", "<r><userpin>123456</userpin><a>1</a></r>"),
                (&quoted, "1"),
                ("ref1", &quoted),
                ("PLN_TARIF", SIGNATURE),
            ],
        );
        let told = format!("{:?} {read:?} {:?}", read.fields, read.details);
        let extra: Vec<_> = read.details.extra.iter().collect();
        for secret in ["123456", SIGNATURE] {
            assert!(!told.contains(secret) && !format!("{extra:?}").contains(secret));
        }
        assert_eq!(
            read.verbatim("ref1"),
            Err(Unreadable::HoldsSecret("ref1")),
            "it cannot be sent back as it came"
        );
    }

    #[test]
    fn identifier_that_contains_the_pin_by_chance_is_unaltered() {
        let fields = [
            ("serialnumber", "123456"),
            ("harga", "123456"),
            ("balance", "123456.00"),
            ("nominal", "123456"),
            ("ref1", "x 123456 y"),
            ("tracecode", "123456"),
            ("referencecode", "123456"),
            ("productcode", "123456"),
            ("accnumber1", "123456"),
            ("contactnumber", "123456"),
            ("inquirycode", "123456"),
            ("userid", "123456"),
            ("PLN_NOMETER", "123456"),
            ("PLN_INFO", "123456"),
            ("billingperiod", "123456"),
            ("errorcode", "123456"),
        ];
        let read = answer_to("123456", &fields);
        let told: Vec<(&str, &str)> = read
            .fields
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        assert_eq!(told, fields);
        let inside = "<caid>123456</caid><info>call 123456</info>";
        let read = answer_to("123456", &[("additionaldata", inside)]);
        assert_eq!(read.fields[0].1, "123456");
        assert_eq!(read.fields[1].1, "call 123456");
    }

    #[test]
    fn another_member_is_recognized_and_no_member_is_accepted() {
        for (named, is_another) in [
            ("userId", false),
            ("USERID", false),
            (" userid ", false),
            ("", false),
            ("us***d", true),
            ("userId2", true),
        ] {
            let read = answer_to("1", &[("status", "000"), ("UserId", named)]);
            assert_eq!(read.names_another_member, is_another, "{named:?}");
        }
        assert!(!answer_to("1", &[("status", "000")]).names_another_member);
        let unverified = answer(&[("userid", "nobody")]).unwrap();
        assert!(!unverified.names_another_member);
    }

    #[test]
    fn empty_inquiryexpired_still_marks_an_inquiry() {
        assert!(
            answer(&[("status", "000"), ("Inquiryexpired", "")])
                .unwrap()
                .is_inquiry
        );
    }
}
