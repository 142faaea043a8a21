//! What must hold for any bytes (promise 17): no panic, no recursion and no memory
//! without bound, and what was read reads the same again. Run by the fuzz targets,
//! and over the corpus by the ordinary tests.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use jiff::tz::TimeZone;
use okebayar_gateway::okebayar::{
    additional_data,
    answer::{self, Fields, Reading},
    format::{read_callback, read_query},
    json,
    pln::{PlnPostpaid, PlnPrepaid},
    redact::Secrets,
    xml,
};

/// The most names of an answer, with those inside one `additionaldata`.
const FIELDS_MAX: usize = 2 * 512;

/// An XML answer or callback.
pub fn xml(data: &[u8]) {
    let _ = read_callback(data);
    let _ = xml::read(data, Some(xml::ANSWER_ROOT)).map(understand);
    if let Ok(fields) = xml::read(data, None) {
        // A reader takes any name; what is written has plain ones.
        let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if fields.iter().all(|(name, _)| is_plain(name)) {
            let again = xml::read(&xml::write(&pairs(&fields)), None);
            assert_eq!(again.expect("what was read can be written"), fields);
        }
        understand(fields);
    }
}

/// A JSON answer or callback.
pub fn json(data: &[u8]) {
    let _ = read_callback(data);
    if let Ok(fields) = json::read(data) {
        let written = json::write(&pairs(&fields), &["nominal"]);
        let again = json::read(&written).expect("what was read can be written");
        assert_eq!(again.len(), fields.len());
        understand(fields);
    }
}

/// The query of a callback.
pub fn query(data: &[u8]) {
    understand(read_query(&String::from_utf8_lossy(data)));
}

/// The inside of an answer.
pub fn additional_data(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let fields = additional_data::read(&text);
    assert!(!fields.is_empty() && fields.len() <= FIELDS_MAX);
    for (name, _) in &fields {
        assert!(name.starts_with(additional_data::NAME), "{name:?}");
    }
    understand(vec![
        ("responsecode".to_owned(), "000".to_owned()),
        (additional_data::NAME.to_owned(), text),
    ]);
}

fn pairs(fields: &Fields) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect()
}

/// Gives meaning to what was read, as an answer and as an inquiry's.
fn understand(fields: Fields) {
    let signature = "329e765e5e7f0732522ffe45e12b3b3a";
    let reading = Reading {
        zone: &TimeZone::UTC,
        secrets: &Secrets::new("123456".into(), signature.into()),
        member: Some("member"),
    };
    let Ok(answer) = answer::interpret_for(fields, &reading) else {
        return;
    };
    for (_, text) in &answer.fields {
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
