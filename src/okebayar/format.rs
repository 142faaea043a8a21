//! The two formats of the API, and what they have in common.

use super::{
    fields::{FIELDS_MAX, Fields, Unreadable},
    json, xml,
};

/// In which format an account talks to OKEBAYAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One flat object.
    Json,
    /// One element for each name.
    Xml,
}

impl Format {
    /// Reads `json` or `xml`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "xml" => Some(Self::Xml),
            _ => None,
        }
    }

    /// The media type of a request.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }

    /// The body of a request; JSON may write those fields as numbers that `numbers` names.
    #[must_use]
    pub fn write(self, fields: &[(&str, &str)], numbers: &[&str]) -> Vec<u8> {
        match self {
            Self::Json => json::write(fields, numbers),
            Self::Xml => xml::write(fields),
        }
    }

    /// The names and texts of an answer.
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

/// The format of a body, by its shape. Stray braces may stand before XML: what comes
/// first tells, '<' or '"'.
///
/// The shape alone decides: a torn answer in JSON may quote a whole one in XML, which
/// must not be read in its place.
fn shape(body: &[u8]) -> Format {
    match body.iter().find(|byte| b"<\"".contains(byte)) {
        Some(b'<') => Format::Xml,
        _ => Format::Json,
    }
}

/// The names and texts of an answer, in whichever format it came.
///
/// # Errors
/// [`Unreadable::Malformed`] when it is not a whole answer.
pub fn read_answer(body: &[u8]) -> Result<Fields, Unreadable> {
    shape(body).read(body)
}

/// The names and texts of a callback's body: in the format of the original
/// request, so in either, and with any root (API page, section 4); or a form, which
/// means what the same query means.
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

/// Returns true when the body begins with a name and an equals sign, as neither format does.
fn looks_like_form(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+%".contains(byte);
    let end = body.iter().position(|byte| !name(byte));
    end.is_some_and(|end| end > 0 && body[end] == b'=')
}

/// The names and texts of a callback whose sender calls it a form. One that is in fact
/// JSON or XML is read as such: some clients name every body a form.
///
/// # Errors
/// [`Unreadable::Malformed`] when it is none of them.
pub fn read_form_callback(body: &[u8]) -> Result<Fields, Unreadable> {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'<') => read_callback(body),
        _ => read_form(body),
    }
}

/// The names and texts of a form (`application/x-www-form-urlencoded`).
fn read_form(body: &[u8]) -> Result<Fields, Unreadable> {
    read_query(&String::from_utf8_lossy(body.trim_ascii()))
}

/// The names and texts of a callback's query, percent-decoded.
///
/// # Errors
/// [`Unreadable::Malformed`] when it has too many names, as in every format.
pub fn read_query(query: &str) -> Result<Fields, Unreadable> {
    let malformed = |problem: String| Unreadable::Malformed {
        format: "a form",
        problem,
    };
    // Any base does: only the query is read.
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
