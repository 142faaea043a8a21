//! Texts that stand where a number or code is missing.

/// Words that stand where a number or code is still to come, or will never come; in any case
/// and with any punctuation.
const PLACEHOLDERS: [&str; 22] = [
    "na",
    "nan",
    "null",
    "none",
    "nil",
    "nul",
    "undefined",
    "unknown",
    "empty",
    "blank",
    "void",
    "pending",
    "process",
    "processing",
    "waiting",
    "tbd",
    "false",
    "kosong",
    "belumada",
    "tidakada",
    "proses",
    "menunggu",
];

/// Returns true for a text that stands for no code at all: one without a letter or digit other
/// than zero, one of nothing but x, and the words of [`PLACEHOLDERS`].
pub(super) fn is_placeholder(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    let plain: String = letters.flat_map(char::to_lowercase).collect();
    plain.chars().all(|c| c == '0')
        || plain.chars().all(|c| c == 'x')
        || PLACEHOLDERS.contains(&plain.as_str())
}
