//! The names and texts that every format is parsed into, and their bounds.

/// Names and texts in the order in which they came.
pub type Fields = Vec<(String, String)>;

/// The reason why an answer, or a callback, is unreadable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The bytes are not of the expected format.
    #[error("it is not {format}: {problem}")]
    Malformed {
        /// The expected format.
        format: &'static str,
        /// The problem, without the text itself.
        problem: String,
    },
    /// The answer gives two different values of a field that decides its meaning.
    #[error("it gives {0} twice, with different values")]
    Ambiguous(&'static str),
    /// A text that must be sent back verbatim quotes a secret, which is never stored.
    #[error("its {0} quotes a secret of the request")]
    HoldsSecret(&'static str),
}

/// The deepest nesting that is parsed, in every format.
pub(super) const DEPTH_MAX: usize = 32;

/// The most names that one answer may have, in every format.
pub(super) const FIELDS_MAX: usize = 512;

/// The names of amounts in every answer.
pub(super) const AMOUNTS: [&str; 4] = ["harga", "balance", "nominal", "adminfee"];

/// The names of amounts inside `additionaldata`, without the number of the bill that may follow.
const PLN_AMOUNTS: [&str; 5] = [
    "rptag",
    "valuaddedtax",
    "penaltyfee",
    "totaladmincharge",
    "totalrptag",
];

/// Returns true for the name of an amount, in any case.
pub(super) fn is_amount(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let own = name.trim_end_matches(|c: char| c.is_ascii_digit());
    AMOUNTS.contains(&name.as_str()) || PLN_AMOUNTS.contains(&own)
}
