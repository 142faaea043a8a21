//! The caller's own labels of a transaction.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// The most labels of one transaction.
const LABELS_MAX: usize = 16;
/// The longest key or value, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// The labels of a transaction, by key. They are the caller's own data and may name a customer, so
/// `Debug` never shows them, and they are neither sent nor logged.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

/// The error of labels that are not acceptable. It quotes no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLabels {
    /// More labels than the maximum.
    #[error("it has {0} entries; give at most {LABELS_MAX}")]
    TooMany(usize),
    /// A key is empty or too long.
    #[error("a key has {0} bytes; give 1 to {TEXT_BYTES_MAX}")]
    KeyLength(usize),
    /// A value is too long.
    #[error("a value has {0} bytes; give at most {TEXT_BYTES_MAX}")]
    ValueLength(usize),
    /// A key or value contains a control character.
    #[error("a key or value contains a control character; leave it out")]
    ControlCharacter,
}

impl Labels {
    /// Parses the labels of a request.
    ///
    /// # Errors
    /// [`BadLabels`] by the first violation.
    pub fn parse(labels: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadLabels> {
        let labels: BTreeMap<String, String> = labels.into_iter().collect();
        if labels.len() > LABELS_MAX {
            return Err(BadLabels::TooMany(labels.len()));
        }
        for (key, value) in &labels {
            if !(1..=TEXT_BYTES_MAX).contains(&key.len()) {
                return Err(BadLabels::KeyLength(key.len()));
            }
            if value.len() > TEXT_BYTES_MAX {
                return Err(BadLabels::ValueLength(value.len()));
            }
            if key.chars().chain(value.chars()).any(char::is_control) {
                return Err(BadLabels::ControlCharacter);
            }
        }
        Ok(Self(labels))
    }

    /// Returns true when there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the keys and values, for the caller whose transaction it is.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.0.iter();
        labels.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns true when every label of `wanted` is one of these.
    #[must_use]
    pub fn include(&self, wanted: &Self) -> bool {
        let mut wanted = wanted.0.iter();
        wanted.all(|(key, value)| self.0.get(key) == Some(value))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Labels({} hidden)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(labels: &[(&str, &str)]) -> Result<Labels, BadLabels> {
        let labels = labels.iter();
        Labels::parse(labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn labels_are_bounded_in_number_and_length() {
        let long = "x".repeat(TEXT_BYTES_MAX);
        assert!(parse(&[(&long, &long), ("k", "")]).is_ok());
        assert_eq!(parse(&[("", "v")]), Err(BadLabels::KeyLength(0)));
        let longer = "x".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!(parse(&[(&longer, "v")]), Err(BadLabels::KeyLength(65)));
        assert_eq!(parse(&[("k", &longer)]), Err(BadLabels::ValueLength(65)));
        let wide = "é".repeat(TEXT_BYTES_MAX / 2 + 1);
        assert_eq!(parse(&[("k", &wide)]), Err(BadLabels::ValueLength(66)));
        assert_eq!(parse(&[("k\n", "v")]), Err(BadLabels::ControlCharacter));
        let many = (0..=LABELS_MAX).map(|number| (number.to_string(), String::new()));
        assert_eq!(Labels::parse(many), Err(BadLabels::TooMany(17)));
    }

    #[test]
    fn labels_include_every_wanted_one_and_debug_hides_them() {
        let labels = parse(&[("shop", "1"), ("till", "2")]).unwrap();
        assert!(labels.include(&Labels::default()));
        assert!(labels.include(&parse(&[("till", "2")]).unwrap()));
        assert!(!labels.include(&parse(&[("till", "1")]).unwrap()));
        assert!(!labels.include(&parse(&[("shop", "1"), ("desk", "")]).unwrap()));
        assert_eq!(format!("{labels:?}"), "Labels(2 hidden)");
    }
}
