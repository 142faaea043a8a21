//! Parses the reply to `INFO`.

/// Returns a value in the reply to `INFO`; empty when the server does not report it.
pub(super) fn info<'a>(text: &'a str, name: &str) -> &'a str {
    let named = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    text.lines().find_map(named).unwrap_or_default().trim()
}
