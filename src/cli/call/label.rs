//! Labels on the command line.

/// Parses `key=value`; the value may be empty.
///
/// # Errors
/// The remedy, when there is no `=` or no key.
pub(super) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give a label as key=value".to_owned()),
    }
}
