//! Misprints: fields that answers carry instead of the right ones, or beside them.
//!
//! Set while the sandbox runs, by `PUT /misprints/<account number>`, or `*` for every
//! answer. The body is one JSON object of names and values: a string is a text, a number is
//! printed digit for digit, null leaves the field out; `{}` ends the misprints. In a text
//! `{request}`, `{json}`, `{xml}`, `{url}` and `{signature}` stand for what was asked.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use quick_xml::escape::escape;
use rust_decimal::Decimal;
use serde_json::{Value, value::RawValue};

use super::parameters::Parameters;

/// The key of what every answer carries.
const EVERY: &str = "*";

/// A field as it is misprinted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Printed {
    /// A text.
    Text(String),
    /// A number, digit for digit; in XML there is only text.
    Number(String),
    /// The field is left out.
    Absent,
}

impl Printed {
    /// Returns true when a request says what was printed: a text to the letter, a number as the
    /// same number.
    #[must_use]
    pub fn is_said_by(&self, text: &str) -> bool {
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

    /// Returns the text as it was printed.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Absent => "",
        }
    }
}

/// Names and what is printed there.
pub type MisprintedFields = BTreeMap<String, Printed>;

/// Every misprint, by account number.
#[derive(Default)]
pub struct Misprints(Mutex<HashMap<String, MisprintedFields>>);

/// Reads the body that sets misprints; `None` when it is no flat object.
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
    /// Sets what answers about an account number carry.
    pub fn set(&self, account_number: String, fields: MisprintedFields) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(account_number, fields);
    }

    /// Returns the fields that an answer about these account numbers carries.
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

/// Builds a text with what it quotes of the request.
#[must_use]
pub fn quoting(text: &str, body: &[u8], asked: Option<&Parameters>) -> String {
    let Some(asked) = asked else {
        return text.to_owned();
    };
    let url = reqwest::Url::parse_with_params("http://sandbox/", asked.iter());
    let url = url.ok();
    let url = url.as_ref().and_then(reqwest::Url::query);
    let element = |(name, text)| format!("<{name}>{}</{name}>", escape(text));
    let elements = asked.iter().map(element).collect::<Vec<String>>().concat();
    let object: serde_json::Map<String, Value> = asked
        .iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    text.replace("{request}", &String::from_utf8_lossy(body))
        .replace("{json}", &Value::from(object).to_string())
        .replace("{xml}", &format!("<transaction>{elements}</transaction>"))
        .replace("{url}", url.unwrap_or_default())
        .replace("{signature}", asked.get("signature"))
}
