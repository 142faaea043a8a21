//! Invariants of the readers for arbitrary bytes (promise 17): no panic, no unbounded recursion or
//! memory, and a result that survives being written and read again. The fuzz targets check them,
//! and so do the ordinary tests over the corpus.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use jiff::tz::TimeZone;
use okebayar_gateway::okebayar::{
    additional_data,
    fields::Fields,
    format::{read_callback, read_query},
    interpret::{self, AnswerContext},
    json,
    pln::{PlnPostpaid, PlnPrepaid},
    redact::RequestSecrets,
    xml,
};

/// The maximum number of names in an answer, including those inside its `additionaldata`.
const FIELDS_MAX: usize = 2 * 512;
/// The maximum number of bytes that one byte of input becomes, where it is invalid in its encoding.
const GROWTH_MAX: usize = 3;
/// The maximum number of bytes of unknown fields that a record keeps.
const EXTRA_BYTES_MAX: usize = 16 * 1024;

/// Returns the total length of names and texts.
fn bytes<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> usize {
    let pairs = pairs.into_iter();
    pairs.map(|(name, text)| name.len() + text.len()).sum()
}

/// Asserts that the result of a reader is bounded by the length of its input.
fn bounded(fields: &Fields, input: usize) {
    assert!(fields.len() <= 512);
    assert!(bytes(pairs(fields)) <= GROWTH_MAX * input);
}

/// Checks an XML answer or callback.
pub fn xml(data: &[u8]) {
    let _ = read_callback(data);
    let _ = xml::read(data, Some(xml::ANSWER_ROOT)).map(|fields| understand(fields, data.len()));
    if let Ok(fields) = xml::read(data, None) {
        bounded(&fields, data.len());
        // The reader accepts any name, but the writer is only used with plain ones.
        let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if fields.iter().all(|(name, _)| is_plain(name)) {
            let again = xml::read(&xml::write(&pairs(&fields)), None);
            assert_eq!(again.expect("what was read can be written"), fields);
        }
        understand(fields, data.len());
    }
}

/// Checks a JSON answer or callback.
pub fn json(data: &[u8]) {
    let _ = read_callback(data);
    if let Ok(fields) = json::read(data) {
        bounded(&fields, data.len());
        let written = json::write(&pairs(&fields), &["nominal"]);
        let again = json::read(&written).expect("what was read can be written");
        assert_eq!(again.len(), fields.len());
        understand(fields, data.len());
    }
}

/// Checks the query of a callback.
pub fn query(data: &[u8]) {
    if let Ok(fields) = read_query(&String::from_utf8_lossy(data)) {
        bounded(&fields, data.len());
        understand(fields, data.len());
    }
}

/// Checks `additionaldata`, the nested part of an answer.
pub fn additional_data(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let fields = additional_data::read(&text, &mut additional_data::Budget::default());
    assert!(!fields.is_empty() && fields.len() <= FIELDS_MAX);
    let kept_whole = text.len() + additional_data::NAME.len();
    assert!(bytes(pairs(&fields)) <= additional_data::BYTES_MAX.max(kept_whole));
    for (name, _) in &fields {
        assert!(name.starts_with(additional_data::NAME), "{name:?}");
    }
    let field = (additional_data::NAME.to_owned(), text);
    understand(
        vec![field.clone(), field.clone(), field],
        3 * (data.len() + 16),
    );
}

fn pairs(fields: &Fields) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect()
}

/// Interprets fields as an answer and as an inquiry's answer; `input` is the number of bytes that
/// they were read from.
fn understand(fields: Fields, input: usize) {
    let signature = "329e765e5e7f0732522ffe45e12b3b3a";
    let reading = AnswerContext {
        zone: &TimeZone::UTC,
        secrets: &RequestSecrets::new("123456".into(), signature.into()),
        member: Some("member"),
    };
    let Ok(answer) = interpret::interpret_for(fields, &reading) else {
        return;
    };
    // Redaction may make a name or text longer: the replacement can exceed the secret.
    let most = 2 * GROWTH_MAX * input + additional_data::BYTES_MAX;
    assert!(bytes(pairs(&answer.fields)) <= most);
    assert!(bytes(answer.details.extra.iter()) <= EXTRA_BYTES_MAX);
    assert!(answer.details.unread.len() <= 4 * 3);
    for (name, text) in &answer.fields {
        assert!(!name.contains(|c: char| c.is_ascii_control()));
        assert!(!text.contains(signature), "a secret stays");
    }
    let _ = answer.status_code();
    let _ = answer.verbatim("ref1");
    let mut rest = answer.fields;
    let before = rest.len();
    let _ = PlnPrepaid::take(&mut rest);
    let _ = PlnPostpaid::take(&mut rest);
    assert!(rest.len() <= before);
}
