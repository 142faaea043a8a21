//! Keys with their sections flattened into dots, and their environment variables.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

/// The environment prefix; a double underscore separates the parts of a key.
pub const ENVIRONMENT_PREFIX: &str = "OKEBAYAR_GATEWAY";

/// Key to its values; a list has several.
pub(super) type FlatKeys = BTreeMap<String, Vec<String>>;

/// Every key and its values, sections flattened with dots.
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

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}__{}",
        key.to_ascii_uppercase().replace('.', "__")
    )
}

/// Returns how a key is given in the environment. `None` where its name has a hyphen: no
/// shell sets such a variable.
pub(super) fn in_environment(key: &str) -> Option<String> {
    (!key.contains('-')).then(|| format!("in the environment as {}", variable(key)))
}
