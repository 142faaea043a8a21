//! The two formats of the API, and the formats in which callbacks come.

use super::{
    fields::{FIELDS_MAX, Fields, Unreadable},
    json, xml,
};

/// The format of the requests of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON: one flat object.
    Json,
    /// XML: one element for each name.
    Xml,
}

impl Format {
    /// Parses `json` or `xml`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "xml" => Some(Self::Xml),
            _ => None,
        }
    }

    /// Returns the media type of a request.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }

    /// Writes the body of a request; in JSON the fields that `numbers` names are numbers.
    #[must_use]
    pub fn write(self, fields: &[(&str, &str)], numbers: &[&str]) -> Vec<u8> {
        match self {
            Self::Json => json::write(fields, numbers),
            Self::Xml => xml::write(fields),
        }
    }

    /// Parses an answer in this format.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`] when it is not an answer in this format.
    pub fn read(self, body: &[u8]) -> Result<Fields, Unreadable> {
        match self {
            Self::Json => json::read(body),
            Self::Xml => xml::read(body, Some(xml::ANSWER_ROOT)),
        }
    }
}

/// Returns the format of a body. Stray braces may stand before XML, so the first '<' or '"'
/// decides.
///
/// Only this decides, never a failed parse: a truncated JSON answer may quote a complete XML one,
/// which must not be parsed instead.
fn shape(body: &[u8]) -> Format {
    match body.iter().find(|byte| b"<\"".contains(byte)) {
        Some(b'<') => Format::Xml,
        _ => Format::Json,
    }
}

/// Parses an answer in the format that it has, whichever the request had.
///
/// # Errors
/// [`Unreadable::Malformed`] when it is not a complete answer.
pub fn read_answer(body: &[u8]) -> Result<Fields, Unreadable> {
    shape(body).read(body)
}

/// Parses the body of a callback: XML with any root or JSON, since it has the format of the
/// original request (docs/OKEBAYAR.md, section 4), or a form, which means the same as a query.
///
/// # Errors
/// [`Unreadable::Malformed`] when it is none of them.
pub fn read_callback(body: &[u8]) -> Result<Fields, Unreadable> {
    if looks_like_form(body) {
        return read_form(body);
    }
    match shape(body) {
        Format::Xml => xml::read(body, None),
        Format::Json => json::read(body),
    }
}

/// Returns true when the body begins with a name and an equals sign, which neither format does.
fn looks_like_form(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+%".contains(byte);
    let end = body.iter().position(|byte| !name(byte));
    end.is_some_and(|end| end > 0 && body[end] == b'=')
}

/// Parses the body of a callback that is declared as a form. JSON and XML are parsed as such: some
/// clients declare every body as a form.
///
/// # Errors
/// [`Unreadable::Malformed`] when it is none of them.
pub fn read_form_callback(body: &[u8]) -> Result<Fields, Unreadable> {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'<') => read_callback(body),
        _ => read_form(body),
    }
}

/// Parses a form (`application/x-www-form-urlencoded`).
fn read_form(body: &[u8]) -> Result<Fields, Unreadable> {
    read_query(&String::from_utf8_lossy(body.trim_ascii()))
}

/// Parses the query of a callback, and decodes its percent encoding.
///
/// # Errors
/// [`Unreadable::Malformed`] when it has too many names, as in every format.
pub fn read_query(query: &str) -> Result<Fields, Unreadable> {
    let malformed = |problem: String| Unreadable::Malformed {
        format: "a form",
        problem,
    };
    // Only the query of this URL is used.
    let url = reqwest::Url::parse("http://callback/");
    let mut url = url.map_err(|error| malformed(error.to_string()))?;
    url.set_query(Some(query));
    let pairs = url.query_pairs().take(FIELDS_MAX + 1);
    let fields: Fields = pairs
        .map(|(name, text)| (name.into_owned(), text.into_owned()))
        .collect();
    if fields.len() > FIELDS_MAX {
        return Err(malformed(format!("more than {FIELDS_MAX} names")));
    }
    Ok(fields)
}
