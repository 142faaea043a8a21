//! What must hold for any bytes (promise 17): no panic, no recursion and no memory
//! without bound, and what was read reads the same again. Run by the fuzz targets,
//! and over the corpus by the ordinary tests.

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

/// The most names of an answer, with those inside its `additionaldata`.
const FIELDS_MAX: usize = 2 * 512;
/// The most bytes that one of the input becomes, where it is not what its encoding says.
const GROWTH_MAX: usize = 3;
/// The most bytes that a record keeps of what it does not know.
const EXTRA_BYTES_MAX: usize = 16 * 1024;

fn bytes<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> usize {
    let pairs = pairs.into_iter();
    pairs.map(|(name, text)| name.len() + text.len()).sum()
}

/// What a reader made of the input is bounded by its length.
fn bounded(fields: &Fields, input: usize) {
    assert!(fields.len() <= 512);
    assert!(bytes(pairs(fields)) <= GROWTH_MAX * input);
}

/// An XML answer or callback.
pub fn xml(data: &[u8]) {
    let _ = read_callback(data);
    let _ = xml::read(data, Some(xml::ANSWER_ROOT)).map(|fields| understand(fields, data.len()));
    if let Ok(fields) = xml::read(data, None) {
        bounded(&fields, data.len());
        // A reader takes any name; what is written has plain ones.
        let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if fields.iter().all(|(name, _)| is_plain(name)) {
            let again = xml::read(&xml::write(&pairs(&fields)), None);
            assert_eq!(again.expect("what was read can be written"), fields);
        }
        understand(fields, data.len());
    }
}

/// A JSON answer or callback.
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

/// The query of a callback.
pub fn query(data: &[u8]) {
    if let Ok(fields) = read_query(&String::from_utf8_lossy(data)) {
        bounded(&fields, data.len());
        understand(fields, data.len());
    }
}

/// The inside of an answer.
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

/// Gives meaning to what was read of that many bytes, as an answer and as an inquiry's.
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
    // A name or text in which a secret was found may grow by what stands in its place.
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
