//! `additionaldata`: XML or JSON inside an answer, different for each product (API
//! page, section 3). It comes as nested elements, as escaped text, as a fragment
//! without one root, inside a JSON string, or as a JSON object; all read the same.

use quick_xml::{Reader, escape::unescape, events::Event};
use serde_json::value::RawValue;

use super::{
    answer::{DEPTH_MAX, FIELDS_MAX, Fields},
    json, xml,
};

/// The name in an answer, and what a wrapping element may be called.
pub const NAME: &str = "additionaldata";

/// The names and texts inside, nested names joined with points, all under
/// [`NAME`]. What cannot be read is kept whole as one text: nothing is dropped.
#[must_use]
pub fn read(text: &str) -> Fields {
    let trimmed = text.trim();
    let inside = match trimmed.as_bytes().first() {
        Some(b'<') => read_xml(trimmed),
        Some(b'&') => unescape(trimmed).ok().and_then(|text| read_xml(&text)),
        // Stray braces may stand round XML as well.
        Some(b'{') => match without_braces(trimmed) {
            Some(inside) => read_xml(inside),
            None => read_json(trimmed),
        },
        _ => None,
    };
    let named = |(path, text): (String, String)| {
        let path = path.strip_prefix(NAME).unwrap_or(&path);
        let path = path.trim_start_matches('.');
        let name = if path.is_empty() {
            NAME.to_owned()
        } else {
            format!("{NAME}.{path}")
        };
        (name, text)
    };
    match inside {
        Some(fields) if !fields.is_empty() => fields.into_iter().map(named).collect(),
        _ => vec![(NAME.to_owned(), text.to_owned())],
    }
}

/// The XML between stray braces, if that is what it is.
fn without_braces(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?.trim();
    let inside = inside.strip_suffix('}').unwrap_or(inside).trim_end();
    inside.starts_with('<').then_some(inside)
}

/// An open element.
#[derive(Default)]
struct Element {
    path: String,
    text: String,
    has_elements: bool,
}

/// The leaves of a fragment, by path; `None` when it is not one.
fn read_xml(text: &str) -> Option<Fields> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().allow_dangling_amp = true;
    let mut open = vec![Element::default()];
    let mut fields = Fields::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => start(&mut open, element.name().into_inner())?,
            Event::Empty(element) => {
                start(&mut open, element.name().into_inner())?;
                end(&mut open, &mut fields)?;
            }
            Event::End(_) => end(&mut open, &mut fields)?,
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
    keep_text(outside, &mut fields);
    Some(fields)
}

/// The path of a name below another.
fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn start(open: &mut Vec<Element>, name: &str) -> Option<()> {
    let parent = open.last_mut()?;
    parent.has_elements = true;
    let path = below(&parent.path, name);
    open.push(Element {
        path,
        ..Element::default()
    });
    (open.len() <= DEPTH_MAX).then_some(())
}

fn end(open: &mut Vec<Element>, fields: &mut Fields) -> Option<()> {
    let element = open.pop()?;
    if element.has_elements {
        keep_text(element, fields);
    } else {
        fields.push((element.path, element.text));
    }
    (fields.len() <= FIELDS_MAX).then_some(())
}

/// Text between elements, where it is more than layout.
fn keep_text(element: Element, fields: &mut Fields) {
    let text = element
        .text
        .trim_matches(|c: char| c.is_whitespace() || "{}".contains(c));
    if !text.is_empty() {
        fields.push((element.path, text.to_owned()));
    }
}

fn read_json(text: &str) -> Option<Fields> {
    let mut fields = Fields::new();
    flatten(String::new(), text.to_owned(), 0, &mut fields)?;
    Some(fields)
}

/// Adds the leaves of a JSON value; a text is one that [`json::read`] gave.
fn flatten(path: String, text: String, depth: usize, fields: &mut Fields) -> Option<()> {
    if depth > DEPTH_MAX || fields.len() > FIELDS_MAX {
        return None;
    }
    if text.starts_with('{')
        && let Ok(inside) = json::read(text.as_bytes())
    {
        for (name, text) in inside {
            flatten(below(&path, &name), text, depth + 1, fields)?;
        }
    } else if text.starts_with('[')
        && let Ok(inside) = serde_json::from_str::<Vec<Box<RawValue>>>(&text)
    {
        for (number, value) in inside.iter().enumerate() {
            let text = json::text_of(value.get()).ok()?;
            flatten(below(&path, &number.to_string()), text, depth + 1, fields)?;
        }
    } else if depth == 0 {
        return None;
    } else {
        fields.push((path, text));
    }
    Some(())
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
            assert_eq!(read(&text), expected, "{text}");
        }
    }

    #[test]
    fn nested_names_are_paths_and_lists_are_numbered() {
        assert_eq!(
            read("<data><bill><n>1</n></bill><bill><n>2</n> note </bill></data>"),
            fields(&[
                ("additionaldata.data.bill.n", "1"),
                ("additionaldata.data.bill.n", "2"),
                ("additionaldata.data.bill", "note"),
            ])
        );
        assert_eq!(
            read(r#"{"bills":[{"n":1.50},{"n":"x"}]}"#),
            fields(&[
                ("additionaldata.bills.0.n", "1.50"),
                ("additionaldata.bills.1.n", "x"),
            ])
        );
    }

    #[test]
    fn what_cannot_be_read_is_kept_whole() {
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
            assert_eq!(read(text), fields(&[(NAME, text)]), "{text}");
        }
    }
}
