//! Misprints: wrong or additional fields in answers.
//!
//! A test sets them at run time with `PUT /misprints/<account number>`, or with `*` for every
//! answer. The body is one JSON object of names and values: a string is a text, a number is
//! written digit for digit, null omits the field, and `{}` removes all misprints. In a text, the
//! placeholders `{request}`, `{json}`, `{xml}`, `{url}` and `{signature}` are replaced by the
//! request in that form.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use quick_xml::escape::escape;
use rust_decimal::Decimal;
use serde_json::{Value, value::RawValue};

use super::parameters::Parameters;

/// The key of misprints in every answer.
const EVERY: &str = "*";

/// The value of a misprinted field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Printed {
    /// A text.
    Text(String),
    /// A number, written digit for digit; XML does not distinguish it from a text.
    Number(String),
    /// The field is omitted.
    Absent,
}

impl Printed {
    /// Returns true when a request repeats the misprint: a text exactly, a number as the same
    /// number.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Text(printed) => text == printed,
            Self::Number(printed) => {
                let number = |text: &str| {
                    Decimal::from_scientific(text)
                        .or_else(|_| Decimal::from_str_exact(text))
                        .ok()
                };
                text == printed || (number(text).is_some() && number(text) == number(printed))
            }
            Self::Absent => text.is_empty(),
        }
    }

    /// Returns the text of the misprint; empty for an omitted field.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Absent => "",
        }
    }
}

/// The misprinted fields of an answer by name.
pub type MisprintedFields = BTreeMap<String, Printed>;

/// All misprints by account number.
#[derive(Default)]
pub struct Misprints(Mutex<HashMap<String, MisprintedFields>>);

/// Parses the body of a request that sets misprints; returns `None` unless it is one flat object.
#[must_use]
pub fn read(body: &[u8]) -> Option<MisprintedFields> {
    let object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
    let field = |(name, value): (String, Box<RawValue>)| {
        let printed = match value.get().as_bytes() {
            [b'"', ..] => Printed::Text(serde_json::from_str(value.get()).ok()?),
            [b'-' | b'0'..=b'9', ..] => Printed::Number(value.get().to_owned()),
            b"null" => Printed::Absent,
            _ => return None,
        };
        Some((name, printed))
    };
    object.into_iter().map(field).collect()
}

impl Misprints {
    /// Sets the misprints of answers about an account number.
    pub fn set(&self, account_number: String, fields: MisprintedFields) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(account_number, fields);
    }

    /// Returns the misprints of an answer about the given account numbers.
    #[must_use]
    pub fn of(&self, account_numbers: &[&str]) -> MisprintedFields {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = [EVERY].into_iter().chain(account_numbers.iter().copied());
        let found = keys.filter_map(|key| all.get(key)).flatten();
        found
            .map(|(name, printed)| (name.clone(), printed.clone()))
            .collect()
    }
}

/// Replaces the placeholders of a text by the request.
#[must_use]
pub fn quoting(text: &str, body: &[u8], request: Option<&Parameters>) -> String {
    let Some(request) = request else {
        return text.to_owned();
    };
    let url = reqwest::Url::parse_with_params("http://sandbox/", request.iter());
    let url = url.ok();
    let url = url.as_ref().and_then(reqwest::Url::query);
    let element = |(name, text)| format!("<{name}>{}</{name}>", escape(text));
    let elements = request
        .iter()
        .map(element)
        .collect::<Vec<String>>()
        .concat();
    let object: serde_json::Map<String, Value> = request
        .iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    text.replace("{request}", &String::from_utf8_lossy(body))
        .replace("{json}", &Value::from(object).to_string())
        .replace("{xml}", &format!("<transaction>{elements}</transaction>"))
        .replace("{url}", url.unwrap_or_default())
        .replace("{signature}", request.get("signature"))
}
