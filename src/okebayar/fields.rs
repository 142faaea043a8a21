//! Names and texts, which every format is read into, and their bounds.

/// Names and texts in the order in which they came.
pub type Fields = Vec<(String, String)>;

/// An answer that cannot be used as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The bytes are not of the expected format.
    #[error("it is not {format}: {problem}")]
    Malformed {
        /// The expected format.
        format: &'static str,
        /// What is wrong, without the text itself.
        problem: String,
    },
    /// A fact on which the meaning rests is said twice, differently.
    #[error("it gives {0} twice, with different values")]
    Ambiguous(&'static str),
    /// What must go back to the letter holds a secret of ours, which is kept nowhere.
    #[error("its {0} quotes a secret of the request")]
    HoldsSecret(&'static str),
}

/// The deepest nesting that is read, in every format.
pub(super) const DEPTH_MAX: usize = 32;

/// The most names that one answer may have, in every format.
pub(super) const FIELDS_MAX: usize = 512;

/// Amounts of every answer.
pub(super) const AMOUNTS: [&str; 4] = ["harga", "balance", "nominal", "adminfee"];

/// How amounts inside `additionaldata` begin; a bill's number may follow.
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
