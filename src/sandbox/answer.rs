//! The fields of an answer, and their encoding in both formats, including the irregularities of
//! the published samples.

use std::{borrow::Cow, sync::Arc};

use quick_xml::escape::escape;
use serde_json::Value;

use super::{
    format::{WireFormat, rupiah},
    misprint::{self, Printed},
    parameters::Parameters,
};

enum AnswerField {
    Text(String),
    /// An amount in rupiah: two decimals in JSON, plain digits in XML, as in the samples.
    Amount(u64),
    /// Names and texts nested in one field, and the number of the form in which they are written.
    Inside(Arc<[(String, String)]>, usize),
    /// A number, written digit for digit.
    Number(String),
}

/// Escapes a text for XML. White space other than blanks becomes character references, so that a
/// parser does not normalize it.
fn xml_text(text: &str) -> String {
    escape(text)
        .replace('\t', "&#9;")
        .replace('\n', "&#10;")
        .replace('\r', "&#13;")
}

/// Encodes `additionaldata` for JSON. OKEBAYAR does not define its form, so each form occurs:
/// an XML document, an XML fragment, an object, and an XML document between white space.
fn json_inside(pairs: &[(String, String)], form: usize) -> String {
    match form % 4 {
        0 => Value::from(elements("additionaldata", pairs)).to_string(),
        1 => Value::from(fragment(pairs)).to_string(),
        2 => {
            let pair = |(name, text): &(String, String)| {
                format!(
                    "{}: {}",
                    Value::from(name.as_str()),
                    Value::from(text.as_str())
                )
            };
            format!(
                "{{{}}}",
                pairs.iter().map(pair).collect::<Vec<_>>().join(", ")
            )
        }
        _ => Value::from(format!("  {}\n", elements("data", pairs))).to_string(),
    }
}

/// Encodes `additionaldata` for XML: nested elements, an escaped document, an escaped fragment, or
/// a CDATA section.
fn xml_inside(pairs: &[(String, String)], form: usize) -> String {
    match form % 4 {
        0 => fragment(pairs),
        1 => escape(elements("additionaldata", pairs)).into_owned(),
        2 => escape(fragment(pairs)).into_owned(),
        _ => format!("<![CDATA[{}]]>", elements("data", pairs)),
    }
}

fn fragment(pairs: &[(String, String)]) -> String {
    let element = |(name, text): &(String, String)| format!("<{name}>{}</{name}>", escape(text));
    pairs.iter().map(element).collect()
}

fn elements(root: &str, pairs: &[(String, String)]) -> String {
    format!("<{root}>{}</{root}>", fragment(pairs))
}

/// An answer: names and values in the order in which they are written.
#[derive(Default)]
pub struct SandboxAnswer(Vec<(Cow<'static, str>, AnswerField)>);

impl SandboxAnswer {
    /// Adds a text.
    #[must_use]
    pub fn text(mut self, name: &'static str, text: &str) -> Self {
        self.0
            .push((name.into(), AnswerField::Text(text.to_owned())));
        self
    }

    /// Adds an amount in rupiah.
    #[must_use]
    pub fn amount(mut self, name: &'static str, rupiah: u64) -> Self {
        self.0.push((name.into(), AnswerField::Amount(rupiah)));
        self
    }

    /// Adds `additionaldata` in the given form; adds nothing when there are no pairs.
    #[must_use]
    pub fn additional_data(mut self, pairs: Vec<(String, String)>, form: usize) -> Self {
        if !pairs.is_empty() {
            self.0.push((
                "additionaldata".into(),
                AnswerField::Inside(pairs.into(), form),
            ));
        }
        self
    }

    /// Returns the text of a field, or an empty text.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        match found {
            Some((_, AnswerField::Text(text))) => text,
            _ => "",
        }
    }

    /// Replaces fields by their misprints, or appends them. The texts of misprints may quote the
    /// request.
    #[must_use]
    pub fn misprinted(
        mut self,
        misprints: misprint::MisprintedFields,
        body: &[u8],
        request: Option<&Parameters>,
    ) -> Self {
        for (name, printed) in misprints {
            let field = match printed {
                Printed::Text(text) => {
                    Some(AnswerField::Text(misprint::quoting(&text, body, request)))
                }
                Printed::Number(number) => Some(AnswerField::Number(number)),
                Printed::Absent => None,
            };
            let place = self.0.iter().position(|(known, _)| *known == name);
            match (place, field) {
                (Some(place), Some(field)) => self.0[place].1 = field,
                (Some(place), None) => drop(self.0.remove(place)),
                (None, Some(field)) => self.0.push((name.into(), field)),
                (None, None) => {}
            }
        }
        self
    }

    /// Encodes the body of the answer. XML is wrapped in stray braces, as in the samples.
    #[must_use]
    pub fn write(&self, format: WireFormat) -> String {
        match format {
            WireFormat::Json => {
                let field = |(name, field): &(Cow<'_, str>, AnswerField)| match field {
                    AnswerField::Text(text) => {
                        format!("\"{name}\": {}", Value::from(text.as_str()))
                    }
                    AnswerField::Amount(amount) => {
                        format!("\"{name}\": {}", rupiah(*amount, format))
                    }
                    AnswerField::Number(number) => format!("\"{name}\": {number}"),
                    AnswerField::Inside(pairs, form) => {
                        format!("\"{name}\": {}", json_inside(pairs, *form))
                    }
                };
                format!(
                    "{{{}}}",
                    self.0.iter().map(field).collect::<Vec<_>>().join(", ")
                )
            }
            WireFormat::Xml => format!("{{\n{}\n}}\n", self.element("transaction-status")),
        }
    }

    /// Encodes the body of a callback. OKEBAYAR does not document its XML root.
    #[must_use]
    pub fn write_callback(&self, format: WireFormat) -> String {
        match format {
            WireFormat::Json => self.write(format),
            WireFormat::Xml => self.element("callback"),
        }
    }

    fn element(&self, root: &str) -> String {
        let field = |(name, field): &(Cow<'_, str>, AnswerField)| match field {
            AnswerField::Text(text) => format!("<{name}>{}</{name}>\n", xml_text(text)),
            AnswerField::Number(number) => format!("<{name}>{number}</{name}>\n"),
            AnswerField::Amount(amount) => {
                format!("<{name}>{}</{name}>\n", rupiah(*amount, WireFormat::Xml))
            }
            AnswerField::Inside(pairs, form) => {
                format!("<{name}>{}</{name}>\n", xml_inside(pairs, *form))
            }
        };
        format!(
            "<{root}>\n{}</{root}>",
            self.0.iter().map(field).collect::<Vec<_>>().concat()
        )
    }

    /// Returns names and texts for a query string.
    #[must_use]
    pub fn pairs(&self) -> Vec<(Cow<'static, str>, String)> {
        let text = |field: &AnswerField| match field {
            AnswerField::Text(text) | AnswerField::Number(text) => text.clone(),
            AnswerField::Amount(amount) => rupiah(*amount, WireFormat::Xml),
            AnswerField::Inside(pairs, form) => xml_inside(pairs, *form),
        };
        let pair = |(name, field): &(Cow<'static, str>, AnswerField)| (name.clone(), text(field));
        self.0.iter().map(pair).collect()
    }
}
