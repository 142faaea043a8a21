//! Placeholders: texts in the place of a missing number or code.

/// Words in place of a number or code that is pending or does not exist; in any case and with any
/// punctuation.
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

/// Returns true for a placeholder: a text without a letter or digit other than zero, a text of `x`
/// only, or one of the words of [`PLACEHOLDERS`].
pub(super) fn is_placeholder(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    let plain: String = letters.flat_map(char::to_lowercase).collect();
    plain.chars().all(|c| c == '0')
        || plain.chars().all(|c| c == 'x')
        || PLACEHOLDERS.contains(&plain.as_str())
}
