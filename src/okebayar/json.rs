//! OKEBAYAR's JSON: strict lower-case requests, tolerant answers.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::fields::{DEPTH_MAX, FIELDS_MAX, Fields, Unreadable, is_amount};

/// Writes one flat object from names and texts. Every value is a string, except those that
/// `numbers` names and whose text is a number: they are written digit for digit.
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

/// Returns true when the text is a JSON number as it stands.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && !text.ends_with(|c: char| c.is_whitespace())
        && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Parses one flat object. A raw control character inside a string stands for itself; white space
/// around a name is ignored; a number keeps its text, except that an amount with an exponent is
/// written in plain digits; a nested value keeps its JSON text.
///
/// # Errors
/// [`Unreadable::Malformed`] when it is not one JSON object, is nested too deep,
/// or has too many names.
pub fn read(body: &[u8]) -> Result<Fields, Unreadable> {
    let text = String::from_utf8_lossy(body);
    let text = sanitized(text.trim_start_matches('\u{feff}'))?;
    let members = members(&text)?.into_iter();
    members
        .map(|(name, value)| {
            let amount = plain_amount(&name, value.get());
            let text = amount.map_or_else(|| text_of(value.get()), Ok)?;
            Ok((name, text))
        })
        .collect()
}

/// Returns the names and raw values of an object whose text is [`sanitized`], in order and with
/// repetitions.
pub(super) fn members(text: &str) -> Result<Vec<(String, &RawValue)>, Unreadable> {
    let RawObject(members) = serde_json::from_str(text).map_err(|error| unparsable(&error))?;
    if members.len() > FIELDS_MAX {
        return Err(too_many());
    }
    Ok(members)
}

/// Returns the raw values of a list whose text is [`sanitized`].
pub(super) fn items(text: &str) -> Result<Vec<&RawValue>, Unreadable> {
    let RawList(items) = serde_json::from_str(text).map_err(|error| unparsable(&error))?;
    if items.len() > FIELDS_MAX {
        return Err(too_many());
    }
    Ok(items)
}

/// Returns the plain digits of an amount that is a number with an exponent.
pub(super) fn plain_amount(name: &str, value: &str) -> Option<String> {
    is_amount(name).then(|| without_exponent(value)).flatten()
}

fn too_many() -> Unreadable {
    malformed(&format!("more than {FIELDS_MAX} names"))
}

fn malformed(problem: &str) -> Unreadable {
    Unreadable::Malformed {
        format: "JSON",
        problem: problem.to_owned(),
    }
}

/// Builds the error of a text that is not JSON. It gives the place only: the parser's own message
/// may quote the answer (promise 15).
fn unparsable(error: &serde_json::Error) -> Unreadable {
    malformed(&format!("line {}, column {}", error.line(), error.column()))
}

/// Returns the text of a JSON value: that of a string, an empty one for null, else the value as
/// written.
pub(super) fn text_of(value: &str) -> Result<String, Unreadable> {
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str(value).map_err(|error| unparsable(&error)),
        _ if value == "null" => Ok(String::new()),
        _ => Ok(value.to_owned()),
    }
}

/// The maximum number of digits of a number whose exponent is parsed, and the largest exponent.
const SCIENTIFIC_DIGITS_MAX: usize = 32;

/// Returns the same number in plain digits; `None` when the value is not a number with an
/// exponent, or a longer one than any amount.
///
/// The caller passes numbers only: `1.5E3` as a text is not an amount. A payment repeats the plain
/// digits, so they are exact.
fn without_exponent(value: &str) -> Option<String> {
    let (sign, number) = match value.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", value),
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{decimals}");
    let shift = usize::try_from(exponent.unsigned_abs()).ok()?;
    if digits.len() > SCIENTIFIC_DIGITS_MAX || shift > SCIENTIFIC_DIGITS_MAX {
        return None;
    }
    // With zeros on both sides, the point stays inside the digits wherever it moves.
    let zeros = "0".repeat(shift);
    let padded = format!("{zeros}{digits}{zeros}");
    let point = if exponent < 0 {
        whole.len()
    } else {
        whole.len() + 2 * shift
    };
    let (whole, decimals) = padded.split_at_checked(point)?;
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    Some(match decimals.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        decimals => format!("{sign}{whole}.{decimals}"),
    })
}

/// Escapes raw control characters inside strings, and bounds the nesting.
pub(super) fn sanitized(text: &str) -> Result<String, Unreadable> {
    let (mut in_string, mut escaped, mut depth) = (false, false, 0_usize);
    let mut sanitized = String::with_capacity(text.len());
    for c in text.chars() {
        let was_escaped = escaped;
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
        if !in_string || !c.is_ascii_control() {
            sanitized.push(c);
        } else if was_escaped {
            // The backslash before it makes no escape, and must not become part of one.
            sanitized.push(' ');
        } else {
            sanitized.extend(["\\u00", &hex::encode([c as u8])]);
        }
    }
    Ok(sanitized)
}

/// The names, trimmed, and raw values of an object. One more than [`FIELDS_MAX`] are kept, to
/// detect that there are too many.
struct RawObject<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = RawObject<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.len() <= FIELDS_MAX {
                        members.push((name.trim().to_owned(), value));
                    }
                }
                Ok(RawObject(members))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// The raw values of a list, bounded as in [`RawObject`].
struct RawList<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for RawList<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = RawList<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawList<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(value) = list.next_element::<&RawValue>()? {
                    if items.len() <= FIELDS_MAX {
                        items.push(value);
                    }
                }
                Ok(RawList(items))
            }
        }
        deserializer.deserialize_seq(Items)
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
    fn raw_control_characters_in_strings_are_kept() {
        assert_eq!(
            fields("{\"\nref1\": \"1\t2\r\n\u{7f}\"}"),
            [("ref1".into(), "1\t2\r\n\u{7f}".into())]
        );
        assert!(read(b"{\"a\":\"\\\n\"}").is_err());
        assert_eq!(
            fields("{\"a\\\"\n\":null}"),
            [("a\"".into(), String::new())]
        );
    }

    #[test]
    fn exponent_is_resolved_exactly_in_amounts_and_kept_in_texts() {
        for (number, expected) in [
            ("5.1E7", "51000000"),
            ("1.5E3", "1500"),
            ("1.5e+3", "1500"),
            ("105E-1", "10.5"),
            ("1.10E1", "11"),
            ("0E5", "0"),
            ("12.34E-4", "0.001234"),
            ("12.34E1", "123.4"),
            ("12.345678901234567890E3", "12345.67890123456789"),
            ("-5E3", "-5000"),
            ("10000.0", "10000.0"),
            ("105.000", "105.000"),
            ("1E33", "1E33"),
            ("1E99999999999", "1E99999999999"),
            ("\"1.5E3\"", "1.5E3"),
        ] {
            for name in ["harga", "Balance", "nominal", "adminfee"] {
                let read = fields(&format!("{{\"{name}\": {number}}}"));
                assert_eq!(read, [(name.into(), expected.into())], "{number}");
            }
        }
        // A serial number that was left unquoted is no amount.
        assert_eq!(
            fields(r#"{"serialnumber": 12E4}"#),
            [("serialnumber".into(), "12E4".into())]
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
    fn json_that_is_not_one_object_is_rejected() {
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
    fn error_does_not_quote_the_answer() {
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
    fn amounts_are_written_as_numbers_digit_for_digit() {
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
