//! Writing answers in both formats, with the slips of the published samples.

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
    /// Rupiah: two decimals in JSON, plain digits in XML, as in the samples.
    Amount(u64),
    /// Names and texts inside one field, in one of several forms.
    Inside(Arc<[(String, String)]>, usize),
    /// A number, digit for digit.
    Number(String),
}

/// Writes a text in XML; white space other than blanks as references, so that it is no layout.
fn xml_text(text: &str) -> String {
    escape(text)
        .replace('\t', "&#9;")
        .replace('\n', "&#10;")
        .replace('\r', "&#13;")
}

/// `additionaldata` is not documented in one form, so each form occurs: whole XML,
/// a fragment, an object, and whole XML in stray white space.
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

/// Nested elements, escaped text, escaped text of a fragment, or a marked section.
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

/// Names and values to be written, in order.
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

    /// Adds `additionaldata`, in one of its forms; nothing where there is none.
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

    /// Returns the text of a field; empty where it has none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        match found {
            Some((_, AnswerField::Text(text))) => text,
            _ => "",
        }
    }

    /// Puts misprints in the place of what is right, or at the end. Texts may quote the
    /// request.
    #[must_use]
    pub fn misprinted(
        mut self,
        misprints: misprint::MisprintedFields,
        body: &[u8],
        asked: Option<&Parameters>,
    ) -> Self {
        for (name, printed) in misprints {
            let field = match printed {
                Printed::Text(text) => {
                    Some(AnswerField::Text(misprint::quoting(&text, body, asked)))
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

    /// The answer's body. XML stands in stray braces, as in the samples.
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

    /// The body of a callback, whose XML root is not documented.
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

    /// Names and texts, for a query.
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
