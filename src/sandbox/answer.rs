//! The sandbox's own reading and writing of both formats, strict as the API page
//! says: one flat object, or `<transaction>` with one element for each parameter,
//! every name in lower case. Answers carry the slips of the published samples.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use quick_xml::{Reader, escape::escape, events::Event};
use serde_json::{Value, value::RawValue};

use super::misprint::{self, Printed};

/// In which format a request came; its answer and its callbacks are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFormat {
    /// One flat object.
    Json,
    /// One element for each name.
    Xml,
}

impl WireFormat {
    /// The format of a body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        if body.trim_ascii_start().starts_with(b"<") {
            Self::Xml
        } else {
            Self::Json
        }
    }

    /// The media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }
}

/// The parameters of a request.
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a request; `None` when it is badly formed.
    #[must_use]
    pub fn read(body: &[u8], format: WireFormat) -> Option<Self> {
        let parameters = match format {
            WireFormat::Json => read_json(body),
            WireFormat::Xml => read_xml(std::str::from_utf8(body).ok()?),
        }?;
        let is_lower_case = parameters.keys().all(|name| *name == name.to_lowercase());
        is_lower_case.then_some(Self(parameters))
    }

    /// True when there is such a parameter, even an empty one.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Every parameter but the secrets, for the ledger.
    #[must_use]
    pub fn without_secrets(&self) -> BTreeMap<String, String> {
        let mut all = self.0.clone();
        all.retain(|name, _| !["userpin", "signature"].contains(&name.as_str()));
        all
    }

    /// Iterates over every parameter.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The text of a parameter, empty when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn read_json(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
    // A number counts digit for digit.
    let text = |(name, value): (String, Box<RawValue>)| match value.get().as_bytes() {
        [b'"', ..] => Some((name, serde_json::from_str(value.get()).ok()?)),
        [b'-' | b'0'..=b'9', ..] => Some((name, value.get().to_owned())),
        _ => None,
    };
    object.into_iter().map(text).collect()
}

fn read_xml(text: &str) -> Option<BTreeMap<String, String>> {
    // A literal carriage return is the end of a line (XML 1.0, section 2.11).
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = Reader::from_str(&text);
    let mut path: Vec<String> = Vec::new();
    let mut parameters = BTreeMap::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                path.push(element.name().into_inner().to_owned());
                match path.as_slice() {
                    [root] if root == "transaction" => {}
                    [_, name] => drop(parameters.insert(name.clone(), String::new())),
                    _ => return None,
                }
            }
            Event::Text(text) if path.len() == 2 => parameters.get_mut(&path[1])?.push_str(&text),
            Event::GeneralRef(name) if path.len() == 2 => {
                let parameter = parameters.get_mut(&path[1])?;
                let character = name.resolve_char_ref().ok()?;
                let mut buffer = [0; 4];
                let text = match character {
                    Some(character) => &*character.encode_utf8(&mut buffer),
                    None => quick_xml::escape::resolve_predefined_entity(&name)?,
                };
                parameter.push_str(text);
            }
            Event::End(_) => drop(path.pop()?),
            Event::Text(_) => {}
            Event::Eof => return path.is_empty().then_some(parameters),
            _ => return None,
        }
    }
}

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

/// Rupiah as answers write them.
#[must_use]
pub fn rupiah(amount: u64, format: WireFormat) -> String {
    match format {
        WireFormat::Json => format!("{amount}.00"),
        WireFormat::Xml => amount.to_string(),
    }
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
