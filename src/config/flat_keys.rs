//! Keys of the configuration in dotted form, and their environment variables.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

/// The prefix of environment variables; a double underscore separates the parts of a key.
pub const ENVIRONMENT_PREFIX: &str = "OKEBAYAR_GATEWAY";

/// The values by dotted key; a list has several.
pub(super) type FlatKeys = BTreeMap<String, Vec<String>>;

/// Flattens nested sections into dotted keys.
pub(super) fn flatten(value: &Value) -> FlatKeys {
    fn walk(key: &str, value: &Value, found: &mut FlatKeys) {
        match &value.kind {
            ValueKind::Table(table) => {
                for (name, value) in table {
                    let key = if key.is_empty() {
                        name.clone()
                    } else {
                        format!("{key}.{name}")
                    };
                    walk(&key, value, found);
                }
            }
            ValueKind::Array(values) => {
                found.insert(
                    key.to_owned(),
                    values.iter().map(ToString::to_string).collect(),
                );
            }
            _ => drop(found.insert(key.to_owned(), vec![value.to_string()])),
        }
    }
    let mut found = FlatKeys::new();
    walk("", value, &mut found);
    found
}

/// Returns the environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}__{}",
        key.to_ascii_uppercase().replace('.', "__")
    )
}

/// Returns "in the environment as VARIABLE" for use in a remedy; `None` for a key with a hyphen,
/// since shells cannot set such a variable.
pub(super) fn in_environment(key: &str) -> Option<String> {
    (!key.contains('-')).then(|| format!("in the environment as {}", variable(key)))
}
