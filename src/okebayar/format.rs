//! The two formats of the API, and what they have in common.

use super::{
    answer::{Fields, Unreadable},
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

/// The names and texts of a callback's body: in the format of the original
/// request, so in either, and with any root (API page, section 4).
///
/// # Errors
/// [`Unreadable::Malformed`] when it is neither.
pub fn read_callback(body: &[u8]) -> Result<Fields, Unreadable> {
    // Stray braces may stand before XML: what comes first tells, '<' or '"'.
    match body.iter().find(|byte| b"<\"".contains(byte)) {
        Some(b'<') => xml::read(body, None),
        _ => json::read(body),
    }
}

/// The names and texts of a callback's query, percent-decoded.
#[must_use]
pub fn read_query(query: &str) -> Fields {
    // Any base does: only the query is read.
    let Ok(mut url) = reqwest::Url::parse("http://callback/") else {
        return Fields::new();
    };
    url.set_query(Some(query));
    url.query_pairs()
        .map(|(name, text)| (name.into_owned(), text.into_owned()))
        .collect()
}
