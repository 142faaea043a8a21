//! `additionaldata`: XML or JSON inside an answer, different for each product (docs/OKEBAYAR.md,
//! section 3). It comes as nested elements, as escaped text, as a fragment without one root, inside
//! a JSON string, or as a JSON object; all have the same result.

use quick_xml::{Reader, escape::unescape, events::Event};

use super::{
    fields::{DEPTH_MAX, FIELDS_MAX, Fields},
    json, xml,
};

/// The name in an answer, and of an element that may wrap the data.
pub const NAME: &str = "additionaldata";

/// The most bytes of names and texts that all `additionaldata` of one answer may become. A name
/// inside is a path, so that one long name above many leaves would otherwise be repeated without
/// bound. The longest documented data, of four electricity bills, take less than 8 KiB.
pub const BYTES_MAX: usize = 64 * 1024;

/// The names and bytes that the `additionaldata` of one answer may still become.
#[derive(Clone, Debug)]
pub struct Budget {
    names: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            names: FIELDS_MAX,
            bytes: BYTES_MAX,
        }
    }
}

/// Returns the names and texts inside, nested names joined with points, all under [`NAME`]. Data
/// that cannot be parsed, or exceed the budget, are kept whole as one text: nothing is dropped.
#[must_use]
pub fn read(text: &str, budget: &mut Budget) -> Fields {
    let mut leaves = LeafReader {
        path: String::new(),
        fields: Fields::new(),
        budget: budget.clone(),
    };
    let trimmed = text.trim();
    let inside = match trimmed.as_bytes().first() {
        Some(b'<') => leaves.read_xml(trimmed),
        Some(b'&') => unescape(trimmed)
            .ok()
            .and_then(|text| leaves.read_xml(&text)),
        // Stray braces may stand round XML as well.
        Some(b'{') => match without_braces(trimmed) {
            Some(inside) => leaves.read_xml(inside),
            None => leaves.read_json(trimmed),
        },
        _ => None,
    };
    if inside.is_none() || leaves.fields.is_empty() {
        return vec![(NAME.to_owned(), text.to_owned())];
    }
    *budget = leaves.budget;
    leaves.fields
}

/// Returns the XML between stray braces; `None` for anything else.
fn without_braces(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?.trim();
    let inside = inside.strip_suffix('}').unwrap_or(inside).trim_end();
    inside.starts_with('<').then_some(inside)
}

/// An open element.
#[derive(Default)]
struct Element {
    /// The length of its parent's path.
    parent: usize,
    text: String,
    has_elements: bool,
}

/// The leaves found so far, and the path of the one that is being read. Each of its methods returns
/// `None` when the data are not of its format, or exceed the budget.
struct LeafReader {
    path: String,
    fields: Fields,
    budget: Budget,
}

impl LeafReader {
    /// Adds a leaf at the path.
    fn push(&mut self, text: &str) -> Option<()> {
        let path = self.path.strip_prefix(NAME).unwrap_or(&self.path);
        let path = path.trim_start_matches('.');
        let length = NAME.len() + 1 + path.len() + text.len();
        self.budget.names = self.budget.names.checked_sub(1)?;
        self.budget.bytes = self.budget.bytes.checked_sub(length)?;
        let name = if path.is_empty() {
            NAME.to_owned()
        } else {
            format!("{NAME}.{path}")
        };
        self.fields.push((name, text.to_owned()));
        Some(())
    }

    /// Appends a name to the path; returns the length to truncate it to afterwards.
    fn enter(&mut self, name: &str) -> usize {
        let parent = self.path.len();
        if parent > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        parent
    }

    /// Adds the leaves of an XML fragment, by path.
    fn read_xml(&mut self, text: &str) -> Option<()> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().allow_dangling_amp = true;
        let mut open = vec![Element::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(element) => self.start(&mut open, element.name().into_inner())?,
                Event::Empty(element) => {
                    self.start(&mut open, element.name().into_inner())?;
                    self.end(&mut open)?;
                }
                Event::End(_) => self.end(&mut open)?,
                Event::Text(text) => open.last_mut()?.text.push_str(&text),
                Event::CData(text) => open.last_mut()?.text.push_str(&text),
                Event::GeneralRef(reference) => {
                    open.last_mut()?.text.push_str(&xml::entity(&reference)?);
                }
                Event::DocType(_) => return None,
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::Eof => break,
            }
        }
        let outside = open.pop()?;
        if !open.is_empty() {
            return None;
        }
        self.keep_text(&outside)
    }

    fn start(&mut self, open: &mut Vec<Element>, name: &str) -> Option<()> {
        open.last_mut()?.has_elements = true;
        open.push(Element {
            parent: self.enter(name),
            ..Element::default()
        });
        (open.len() <= DEPTH_MAX).then_some(())
    }

    fn end(&mut self, open: &mut Vec<Element>) -> Option<()> {
        let element = open.pop()?;
        if element.has_elements {
            self.keep_text(&element)?;
        } else {
            self.push(&element.text)?;
        }
        self.path.truncate(element.parent);
        Some(())
    }

    /// Adds the text between elements, unless it is layout.
    fn keep_text(&mut self, element: &Element) -> Option<()> {
        let text = element
            .text
            .trim_matches(|c: char| c.is_whitespace() || "{}".contains(c));
        if text.is_empty() {
            return Some(());
        }
        self.push(text)
    }

    fn read_json(&mut self, text: &str) -> Option<()> {
        let sanitized = json::sanitized(text).ok()?;
        self.object(&sanitized, 0)?;
        Some(())
    }

    /// Adds the leaves of a JSON object; `None` when it is none.
    fn object(&mut self, text: &str, depth: usize) -> Option<()> {
        for (name, value) in json::members(text).ok()? {
            let parent = self.enter(&name);
            match json::plain_amount(&name, value.get()) {
                Some(amount) => self.push(&amount)?,
                None => self.value(value.get(), depth + 1)?,
            }
            self.path.truncate(parent);
        }
        Some(())
    }

    /// Adds the leaves of a JSON value.
    fn value(&mut self, value: &str, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match value.as_bytes().first() {
            Some(b'{') if json::members(value).is_ok() => self.object(value, depth),
            Some(b'[') => match json::items(value) {
                Ok(items) => self.list(&items, depth),
                Err(_) => self.push(value),
            },
            Some(b'"') => self.text(&json::text_of(value).ok()?, depth),
            _ => self.push(&json::text_of(value).ok()?),
        }
    }

    fn list(&mut self, items: &[&serde_json::value::RawValue], depth: usize) -> Option<()> {
        for (number, value) in items.iter().enumerate() {
            let parent = self.enter(&number.to_string());
            self.value(value.get(), depth + 1)?;
            self.path.truncate(parent);
        }
        Some(())
    }

    /// Adds a text; if it is JSON, adds its leaves instead.
    fn text(&mut self, text: &str, depth: usize) -> Option<()> {
        if text.starts_with(['{', '['])
            && let Ok(sanitized) = json::sanitized(text)
            && (json::members(&sanitized).is_ok() || json::items(&sanitized).is_ok())
        {
            return self.value(&sanitized, depth);
        }
        self.push(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    fn read_alone(text: &str) -> Fields {
        read(text, &mut Budget::default())
    }

    /// Builds the attack: one long name above many leaves.
    fn multiplied(name: usize, leaves: usize) -> [String; 3] {
        let name = "n".repeat(name);
        let elements = "<a/>".repeat(leaves);
        let members = vec!["\"a\":0"; leaves].join(",");
        let items = vec!["0"; leaves].join(",");
        [
            format!("<{name}>{elements}</{name}>"),
            format!("{{\"{name}\":{{{members}}}}}"),
            format!("{{\"{name}\":[{items}]}}"),
        ]
    }

    fn bytes(fields: &Fields) -> usize {
        fields
            .iter()
            .map(|(name, text)| name.len() + text.len())
            .sum()
    }

    #[test]
    fn one_long_name_above_many_leaves_is_kept_whole() {
        for text in multiplied(20_000, 500) {
            assert_eq!(read_alone(&text), fields(&[(NAME, &text)]));
        }
        for text in multiplied(100, 500) {
            let found = read_alone(&text);
            assert_eq!(found.len(), 500);
            assert!(bytes(&found) <= BYTES_MAX);
        }
    }

    #[test]
    fn all_additionaldata_of_one_answer_share_one_budget() {
        for text in multiplied(100, 200) {
            let mut budget = Budget::default();
            let found: Vec<usize> = (0..4).map(|_| read(&text, &mut budget).len()).collect();
            assert_eq!(found, [200, 200, 1, 1]);
        }
    }

    #[test]
    fn every_form_reads_the_same() {
        let expected = fields(&[
            ("additionaldata.caid", "0001"),
            ("additionaldata.subscribername", "A & B"),
            ("additionaldata.blth1", ""),
        ]);
        let inside = "<caid>0001</caid><subscribername>A &amp; B</subscribername><blth1/>";
        let whole = format!("<additionaldata>{inside}</additionaldata>");
        for text in [
            inside.to_owned(),
            whole.clone(),
            format!("{{\n{whole}\n}}"),
            quick_xml::escape::escape(inside).into_owned(),
            r#"{"caid":"0001","subscribername":"A & B","blth1":null}"#.to_owned(),
            r#"{"additionaldata":{"caid":"0001","subscribername":"A & B","blth1":""}}"#.to_owned(),
        ] {
            assert_eq!(read_alone(&text), expected, "{text}");
        }
    }

    #[test]
    fn nested_names_are_paths_and_lists_are_numbered() {
        assert_eq!(
            read_alone("<data><bill><n>1</n></bill><bill><n>2</n> note </bill></data>"),
            fields(&[
                ("additionaldata.data.bill.n", "1"),
                ("additionaldata.data.bill.n", "2"),
                ("additionaldata.data.bill", "note"),
            ])
        );
        assert_eq!(
            read_alone(r#"{"bills":[{"n":1.50},{"n":"x"}]}"#),
            fields(&[
                ("additionaldata.bills.0.n", "1.50"),
                ("additionaldata.bills.1.n", "x"),
            ])
        );
    }

    #[test]
    fn unreadable_additionaldata_is_kept_whole() {
        let deep = "<a>".repeat(10_000);
        for text in [
            "",
            "plain text",
            "<a>1",
            "<a>1</b>",
            "</a>",
            "{\"a\":",
            "{",
            "{}",
            "<!DOCTYPE x><a/>",
            deep.as_str(),
        ] {
            assert_eq!(read_alone(text), fields(&[(NAME, text)]), "{text}");
        }
    }
}
