//! The sandbox's own reading and writing of both formats, strict as the API page
//! says: one flat object, or `<transaction>` with one element for each parameter,
//! every name in lower case. Answers carry the slips of the published samples.

use std::collections::BTreeMap;

use quick_xml::{Reader, escape::escape, events::Event};
use serde_json::Value;

/// In which format a request came; its answer and its callbacks are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One flat object.
    Json,
    /// One element for each name.
    Xml,
}

impl Format {
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
    pub fn read(body: &[u8], format: Format) -> Option<Self> {
        let parameters = match format {
            Format::Json => read_json(body),
            Format::Xml => read_xml(std::str::from_utf8(body).ok()?),
        }?;
        let is_lower_case = parameters.keys().all(|name| *name == name.to_lowercase());
        is_lower_case.then_some(Self(parameters))
    }

    /// The text of a parameter, empty when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn read_json(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return None;
    };
    let text = |(name, value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Number(number) => Some((name, number.to_string())),
        _ => None,
    };
    object.into_iter().map(text).collect()
}

fn read_xml(text: &str) -> Option<BTreeMap<String, String>> {
    let mut reader = Reader::from_str(text);
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
                let text = quick_xml::escape::resolve_predefined_entity(&name)?;
                parameters.get_mut(&path[1])?.push_str(text);
            }
            Event::End(_) => drop(path.pop()?),
            Event::Text(_) => {}
            Event::Eof => return path.is_empty().then_some(parameters),
            _ => return None,
        }
    }
}

enum Field {
    Text(String),
    /// Rupiah: two decimals in JSON, plain digits in XML, as in the samples.
    Amount(u64),
}

/// Names and values to be written, in order.
#[derive(Default)]
pub struct Answer(Vec<(&'static str, Field)>);

impl Answer {
    /// Adds a text.
    #[must_use]
    pub fn text(mut self, name: &'static str, text: &str) -> Self {
        self.0.push((name, Field::Text(text.to_owned())));
        self
    }

    /// Adds an amount in rupiah.
    #[must_use]
    pub fn amount(mut self, name: &'static str, rupiah: u64) -> Self {
        self.0.push((name, Field::Amount(rupiah)));
        self
    }

    /// The answer's body. XML stands in stray braces, as in the samples.
    #[must_use]
    pub fn write(&self, format: Format) -> String {
        match format {
            Format::Json => {
                let field = |(name, field): &(&str, Field)| match field {
                    Field::Text(text) => format!("\"{name}\": {}", Value::from(text.as_str())),
                    Field::Amount(rupiah) => format!("\"{name}\": {rupiah}.00"),
                };
                format!(
                    "{{{}}}",
                    self.0.iter().map(field).collect::<Vec<_>>().join(", ")
                )
            }
            Format::Xml => format!("{{\n{}\n}}\n", self.element("transaction-status")),
        }
    }

    /// The body of a callback, whose XML root is not documented.
    #[must_use]
    pub fn write_callback(&self, format: Format) -> String {
        match format {
            Format::Json => self.write(format),
            Format::Xml => self.element("callback"),
        }
    }

    fn element(&self, root: &str) -> String {
        let field = |(name, field): &(&str, Field)| match field {
            Field::Text(text) => format!("<{name}>{}</{name}>\n", escape(text)),
            Field::Amount(rupiah) => format!("<{name}>{rupiah}</{name}>\n"),
        };
        format!(
            "<{root}>\n{}</{root}>",
            self.0.iter().map(field).collect::<Vec<_>>().concat()
        )
    }

    /// Names and texts, for a query.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let pair = |(name, field): &(&'static str, Field)| match field {
            Field::Text(text) => (*name, text.clone()),
            Field::Amount(rupiah) => (*name, rupiah.to_string()),
        };
        self.0.iter().map(pair).collect()
    }
}
