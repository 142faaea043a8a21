//! The parameters of a request, read as strictly as docs/OKEBAYAR.md demands: one flat object, or
//! `<transaction>` with one element for each parameter, every name in lower case.

use std::collections::BTreeMap;

use quick_xml::{Reader, events::Event};
use serde_json::value::RawValue;

use super::format::WireFormat;

/// The parameters of a request.
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Parses a request; returns `None` when it is malformed.
    #[must_use]
    pub fn read(body: &[u8], format: WireFormat) -> Option<Self> {
        let parameters = match format {
            WireFormat::Json => read_json(body),
            WireFormat::Xml => read_xml(std::str::from_utf8(body).ok()?),
        }?;
        let is_lower_case = parameters.keys().all(|name| *name == name.to_lowercase());
        is_lower_case.then_some(Self(parameters))
    }

    /// Returns true when the parameter is present, even if it is empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns every parameter except the secrets, for the ledger.
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

    /// Returns the text of a parameter, or an empty text.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn read_json(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
    // Numbers are compared digit for digit, so they stay texts.
    let text = |(name, value): (String, Box<RawValue>)| match value.get().as_bytes() {
        [b'"', ..] => Some((name, serde_json::from_str(value.get()).ok()?)),
        [b'-' | b'0'..=b'9', ..] => Some((name, value.get().to_owned())),
        _ => None,
    };
    object.into_iter().map(text).collect()
}

fn read_xml(text: &str) -> Option<BTreeMap<String, String>> {
    // XML 1.0, section 2.11: a parser normalizes CR LF and a lone CR to LF.
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
