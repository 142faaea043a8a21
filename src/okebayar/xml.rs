//! OKEBAYAR's XML: strict lower-case requests, tolerant answers.
//!
//! Answers are parsed event by event, because the important checks concern the whole document: it
//! has one root, the right one, which is closed, and nothing but text around it.

use encoding_rs::{Encoding, UTF_8};
use quick_xml::{
    Reader,
    escape::{escape, resolve_predefined_entity},
    events::{BytesRef, Event},
};

use super::fields::{DEPTH_MAX, FIELDS_MAX, Fields, Unreadable};

/// The root of a request.
const REQUEST_ROOT: &str = "transaction";
/// The root of an answer. The root of a callback is not documented.
pub const ANSWER_ROOT: &str = "transaction-status";

/// The longest XML declaration, in bytes.
const DECLARATION_BYTES_MAX: usize = 256;

/// Writes a request with one element for each name.
///
/// A tab, line feed or carriage return is a character reference: a parser may take a
/// literal one for layout, and must read a literal carriage return as a line feed (XML
/// 1.0, section 2.11). The caller has verified every text by [`can_hold`].
#[must_use]
pub fn write(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = format!("<{REQUEST_ROOT}>");
    for (name, text) in fields {
        let text = escape(*text)
            .replace('\t', "&#9;")
            .replace('\n', "&#10;")
            .replace('\r', "&#13;");
        body.extend(["<", name, ">", &text, "</", name, ">"]);
    }
    body.extend(["</", REQUEST_ROOT, ">"]);
    body.into_bytes()
}

/// Returns true when XML can hold every character of the text: it has no way to write a control
/// character other than tab, line feed and carriage return (XML 1.0, section 2.2).
#[must_use]
pub fn can_hold(text: &str) -> bool {
    text.chars().all(|c| match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => c >= ' ',
    })
}

/// Parses the elements under the root, whose name must be `root` where one is given, in any case.
/// Text around the root, attributes and comments are ignored; a nested element keeps its markup.
///
/// # Errors
/// [`Unreadable::Malformed`] when it is not one complete XML element, has another
/// root, is nested too deep, or has too many names.
pub fn read(body: &[u8], root: Option<&str>) -> Result<Fields, Unreadable> {
    let text = decoded(body)?;
    let start = text
        .find('<')
        .ok_or_else(|| malformed("there is no element"))?;
    let end = text.rfind('>').map_or(start, |end| end + 1);
    let mut document = Document::new(text.get(start..end).unwrap_or_default(), root);
    while document.next()? {}
    Ok(document.fields)
}

fn malformed(problem: impl Into<String>) -> Unreadable {
    Unreadable::Malformed {
        format: "XML",
        problem: problem.into(),
    }
}

/// Decodes the body by its byte order mark or declared encoding.
fn decoded(body: &[u8]) -> Result<String, Unreadable> {
    let encoding = match declared_encoding(body) {
        None => UTF_8,
        Some(label) => Encoding::for_label(label.as_bytes())
            .ok_or_else(|| malformed("its declared encoding is not known"))?,
    };
    // A byte order mark overrides the declaration. Undecodable bytes are replaced, so that an error
    // in one text does not make the whole answer unreadable.
    let text = encoding.decode(body).0;
    // Ends of lines are normalized first, as in every XML parser: an intended carriage return is
    // written as a character reference (XML 1.0, section 2.11).
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn declared_encoding(body: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(body.get(..DECLARATION_BYTES_MAX).unwrap_or(body));
    let declaration = head.split_once("<?xml")?.1.split_once("?>")?.0;
    let value = declaration
        .split_once("encoding")?
        .1
        .trim_start()
        .strip_prefix('=')?
        .trim_start();
    let quote = value
        .chars()
        .next()
        .filter(|quote| "\"'".contains(*quote))?;
    Some(value[1..].split_once(quote)?.0.to_owned())
}

/// Returns the text of an entity; an unknown entity is returned as it came. `None` when it refers
/// to a character that does not exist.
pub(super) fn entity(reference: &BytesRef<'_>) -> Option<String> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character.to_string());
    }
    let known = resolve_predefined_entity(reference).map(str::to_owned);
    Some(known.unwrap_or_else(|| format!("&{};", &**reference)))
}

struct Document<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    root: Option<&'a str>,
    root_seen: bool,
    depth: usize,
    /// The field that is being parsed.
    name: String,
    value: String,
    /// The position where the content of the field starts; `is_nested` when it holds elements.
    content_start: usize,
    is_nested: bool,
    fields: Fields,
}

impl<'a> Document<'a> {
    fn new(text: &'a str, root: Option<&'a str>) -> Self {
        let mut reader = Reader::from_str(text);
        // A lone ampersand in an advertisement must not make the status unreadable.
        reader.config_mut().allow_dangling_amp = true;
        Self {
            text,
            reader,
            root,
            root_seen: false,
            depth: 0,
            name: String::new(),
            value: String::new(),
            content_start: 0,
            is_nested: false,
            fields: Fields::new(),
        }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// Processes one event; returns false at the proper end. An error gives the place only: the
    /// parser's own message may quote the answer (promise 15).
    fn next(&mut self) -> Result<bool, Unreadable> {
        let before = self.position();
        let event = self
            .reader
            .read_event()
            .map_err(|_| malformed(format!("byte {before}")))?;
        match event {
            Event::Start(element) => self.start(element.name().into_inner())?,
            Event::Empty(element) => {
                self.start(element.name().into_inner())?;
                self.end(self.position())?;
            }
            Event::End(_) => self.end(before)?,
            Event::Text(text) => self.text(&text),
            Event::CData(text) => self.text(&text),
            Event::GeneralRef(reference) => {
                let text = entity(&reference).ok_or_else(|| malformed(format!("byte {before}")))?;
                self.text(&text);
            }
            Event::DocType(_) => return Err(malformed("it has a document type")),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof if self.depth > 0 || !self.root_seen => {
                return Err(malformed("it ends too early"));
            }
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn start(&mut self, name: &str) -> Result<(), Unreadable> {
        match self.depth {
            0 if self.root_seen => return Err(malformed("it has a second root")),
            0 => {
                self.root_seen = true;
                if self
                    .root
                    .is_some_and(|root| !root.eq_ignore_ascii_case(name))
                {
                    return Err(malformed("its root is not that of an answer"));
                }
            }
            1 => {
                name.clone_into(&mut self.name);
                self.value.clear();
                self.content_start = self.position();
                self.is_nested = false;
            }
            _ => self.is_nested = true,
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(malformed(format!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(())
    }

    /// Closes an element whose content ended at `content_end`.
    fn end(&mut self, content_end: usize) -> Result<(), Unreadable> {
        self.depth -= 1;
        if self.depth == 1 {
            let nested = self
                .text
                .get(self.content_start..content_end)
                .filter(|_| self.is_nested);
            let value = nested.map_or_else(|| self.value.clone(), str::to_owned);
            self.fields.push((std::mem::take(&mut self.name), value));
            if self.fields.len() > FIELDS_MAX {
                return Err(malformed(format!("more than {FIELDS_MAX} names")));
            }
        }
        Ok(())
    }

    /// Adds text to the field that is being parsed, if there is one.
    fn text(&mut self, text: &str) {
        if self.depth == 2 {
            self.value.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        read(text.as_bytes(), Some(ANSWER_ROOT)).unwrap()
    }

    fn one(inner: &str) -> String {
        let text = format!("<transaction-status><a>{inner}</a></transaction-status>");
        fields(&text)[0].1.clone()
    }

    #[test]
    fn text_around_the_root_is_ignored() {
        let text = "\u{feff}{\n<?xml version='1.0'?> { <Transaction-Status>\n<a>1</a><b/> \
                    </Transaction-Status>\n}\n";
        assert_eq!(
            fields(text),
            [("a".into(), "1".into()), ("b".into(), String::new())]
        );
    }

    #[test]
    fn entities_cdata_comments_and_attributes_are_read() {
        assert_eq!(one("&lt;&#65;&#x42;&amp;"), "<AB&");
        assert_eq!(one("x<![CDATA[<&>]]>y<!-- no -->z"), "x<&>yz");
        assert_eq!(one("a & b &unknown; c"), "a & b &unknown; c");
        let attribute = "<transaction-status n='1'><a type=\"x\">7</a></transaction-status>";
        assert_eq!(fields(attribute), [("a".into(), "7".into())]);
    }

    #[test]
    fn a_nested_element_keeps_its_markup() {
        assert_eq!(one("<b>1</b><c/>"), "<b>1</b><c/>");
    }

    #[test]
    fn declared_encoding_is_used() {
        let text = "<?xml version=\"1.0\" encoding='ISO-8859-1'?><transaction-status><a>caf\u{e9}</a></transaction-status>";
        let latin: Vec<u8> = text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect();
        assert_eq!(read(&latin, None).unwrap(), [("a".into(), "café".into())]);
        let unknown = text.replace("ISO-8859-1", "EBCDIC-9");
        assert!(read(unknown.as_bytes(), None).is_err());
    }

    #[test]
    fn xml_that_is_not_one_whole_answer_is_rejected() {
        for text in [
            "",
            "no markup",
            "{}",
            "<html><body>x</body></html>",
            "<transaction-status>",
            "<transaction-status><a>1</a>",
            "<transaction-status><a>1</b></transaction-status>",
            "<transaction-status/><transaction-status/>",
            "<transaction-status></transaction-status><x/>",
            "<!DOCTYPE x [<!ENTITY e 'e'>]><transaction-status/>",
            "</transaction-status>",
        ] {
            assert!(read(text.as_bytes(), Some(ANSWER_ROOT)).is_err(), "{text}");
        }
        let deep = format!("<transaction-status>{}", "<a>".repeat(10_000));
        let error = read(deep.as_bytes(), Some(ANSWER_ROOT)).unwrap_err();
        assert!(error.to_string().contains("nested deeper"));
    }

    #[test]
    fn literal_ends_of_lines_become_one_line_feed_and_references_stay() {
        assert_eq!(one("a\r\nb\rc\nd\te"), "a\nb\nc\nd\te");
        assert_eq!(one("<![CDATA[a\r\nb]]>"), "a\nb");
        assert_eq!(one("a&#13;&#10;b&#9;&#xD;"), "a\r\nb\t\r");
    }

    #[test]
    fn white_space_survives_a_parser_that_normalizes_ends_of_lines() {
        let written = write(&[("ref1", "\ta\r\nb\r")]);
        let text = String::from_utf8(written.clone()).unwrap();
        assert!(!text.contains(['\t', '\r', '\n']), "{text}");
        let read = read(&written, Some("transaction")).unwrap();
        assert_eq!(read, [("ref1".into(), "\ta\r\nb\r".into())]);
    }

    #[test]
    fn characters_that_xml_cannot_hold_are_recognized() {
        for text in ["", "a\t\r\n", "<&>\u{7f}\u{85}\u{fffd}\u{1f600}"] {
            assert!(can_hold(text), "{text:?}");
        }
        for text in ["\0", "\u{1}", "a\u{1f}", "\u{b}", "\u{fffe}", "\u{ffff}"] {
            assert!(!can_hold(text), "{text:?}");
        }
    }

    #[test]
    fn a_request_reads_back_as_written() {
        let written = write(&[("a", "1 < 2 & \"3\""), ("b", "")]);
        let read = read(&written, Some("transaction")).unwrap();
        assert_eq!(
            read,
            [
                ("a".into(), "1 < 2 & \"3\"".into()),
                ("b".into(), String::new())
            ]
        );
    }
}
