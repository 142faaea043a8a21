//! OKEBAYAR's JSON: requests strict and lower case, answers read with tolerance.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::answer::{DEPTH_MAX, FIELDS_MAX, Fields, Unreadable};

/// One flat object from names and texts. Every value is a string, but those that
/// `numbers` names are numbers where their text is one, digit for digit.
#[must_use]
pub fn write(fields: &[(&str, &str)], numbers: &[&str]) -> Vec<u8> {
    let mut body = String::from("{");
    for (number, (name, text)) in fields.iter().enumerate() {
        if number > 0 {
            body.push(',');
        }
        body.push_str(&Value::from(*name).to_string());
        body.push(':');
        if numbers.contains(name) && is_number(text) {
            body.push_str(text);
        } else {
            body.push_str(&Value::from(*text).to_string());
        }
    }
    body.push('}');
    body.into_bytes()
}

/// True when the text is a JSON number as it stands.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && !text.ends_with(|c: char| c.is_whitespace())
        && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Reads one flat object. A raw control character inside a string is read as a
/// space, white space round a name is ignored; a number keeps its text; a nested
/// value is kept as its JSON text.
///
/// # Errors
/// [`Unreadable::Malformed`] when it is not one JSON object, is nested too deep,
/// or has too many names.
pub fn read(body: &[u8]) -> Result<Fields, Unreadable> {
    let text = String::from_utf8_lossy(body);
    let text = mended(text.trim_start_matches('\u{feff}'))?;
    let Flat(raw) = serde_json::from_str(&text).map_err(|error| unparsable(&error))?;
    if raw.len() > FIELDS_MAX {
        return Err(malformed(&format!("more than {FIELDS_MAX} names")));
    }
    raw.into_iter()
        .map(|(name, value)| Ok((name.trim().to_owned(), text_of(value.get())?)))
        .collect()
}

fn malformed(problem: &str) -> Unreadable {
    Unreadable::Malformed {
        format: "JSON",
        problem: problem.to_owned(),
    }
}

/// Where it went wrong; the parser's own message may quote the answer (promise 15).
fn unparsable(error: &serde_json::Error) -> Unreadable {
    malformed(&format!("line {}, column {}", error.line(), error.column()))
}

/// The text of a JSON value: that of a string, none of null, else the value as written.
pub(super) fn text_of(value: &str) -> Result<String, Unreadable> {
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str(value).map_err(|error| unparsable(&error)),
        _ if value == "null" => Ok(String::new()),
        _ => Ok(value.to_owned()),
    }
}

/// Replaces raw control characters inside strings, and bounds the nesting.
fn mended(text: &str) -> Result<String, Unreadable> {
    let (mut in_string, mut escaped, mut depth) = (false, false, 0_usize);
    let mut mended = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(malformed(&format!("nested deeper than {DEPTH_MAX}")));
        }
        mended.push(if in_string && c.is_ascii_control() {
            ' '
        } else {
            c
        });
    }
    Ok(mended)
}

/// The names and raw values of an object, in order, repetitions included.
struct Flat(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Flat;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flat, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Flat(fields))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        read(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_keep_their_text() {
        assert_eq!(
            fields(r#"{"harga": 10000.10}"#),
            [("harga".into(), "10000.10".into())]
        );
        assert_eq!(
            fields(r#"{"harga": "11000.00"}"#),
            [("harga".into(), "11000.00".into())]
        );
    }

    #[test]
    fn control_characters_in_strings_are_spaces() {
        assert_eq!(
            fields("{\"\nharga\": \"1\t2\"}"),
            [("harga".into(), "1 2".into())]
        );
        assert_eq!(
            fields("{\"a\\\"\n\":null}"),
            [("a\"".into(), String::new())]
        );
    }

    #[test]
    fn nested_values_keep_their_text() {
        assert_eq!(
            fields(r#"{"a":{"b":[1]}}"#),
            [("a".into(), r#"{"b":[1]}"#.into())]
        );
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in [
            "",
            "[]",
            "\"000\"",
            "{\"a\":1",
            "{\"a\":1}{",
            "<html>",
            "{\"a\":1} x",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(
            read(deep.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("nested deeper")
        );
    }

    #[test]
    fn a_refusal_does_not_quote_the_answer() {
        for text in [
            "\"11223344\"",
            "{\"serialnumber\":\"11223344\\x\"}",
            "11223344",
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("11223344"), "{error}");
        }
    }

    #[test]
    fn amounts_are_numbers_digit_for_digit_where_they_can_be() {
        let number = |text| String::from_utf8(write(&[("nominal", text)], &["nominal"])).unwrap();
        for text in ["110000.00", "0", "-5.50", "99999999999999999999.10"] {
            assert_eq!(number(text), format!("{{\"nominal\":{text}}}"));
        }
        for text in ["0110000", "", "1 ", " 1", "Rp 5", "1,0", "true", "-", "1}"] {
            assert_eq!(number(text), format!("{{\"nominal\":\"{text}\"}}"));
        }
    }

    #[test]
    fn requests_read_back_as_written() {
        let written = write(&[("referencecode", "a\"b"), ("userid", "x")], &[]);
        let read = read(&written).unwrap();
        assert_eq!(
            read,
            [
                ("referencecode".into(), "a\"b".into()),
                ("userid".into(), "x".into())
            ]
        );
    }
}
