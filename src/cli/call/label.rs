//! Labels of transactions on the command line.

use std::collections::HashMap;

use clap::{Args, ValueHint};
use tonic::Status;

/// The labels by which a list or watch is filtered.
#[derive(Args)]
pub struct LabelArguments {
    /// Print only transactions with this label. Can be repeated: then they have all of them.
    #[arg(
        long = "label",
        value_name = "KEY=VALUE",
        value_parser = parse_label,
        value_hint = ValueHint::Other
    )]
    labels: Vec<(String, String)>,
}

impl LabelArguments {
    /// Returns the labels by key.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when a key is given twice.
    pub(super) fn by_key(self) -> Result<HashMap<String, String>, Status> {
        labels_by_key(self.labels)
    }
}

/// Returns labels by key.
///
/// # Errors
/// `INVALID_ARGUMENT` when a key is given twice: no transaction has two values for one key.
pub(super) fn labels_by_key(
    labels: Vec<(String, String)>,
) -> Result<HashMap<String, String>, Status> {
    let mut by_key = HashMap::new();
    for (key, value) in labels {
        if by_key.insert(key, value).is_some() {
            let message = "--label: a key is given twice; give each key once";
            return Err(Status::invalid_argument(message));
        }
    }
    Ok(by_key)
}

/// Parses `KEY=VALUE`; the value may be empty, and may contain further `=`.
///
/// # Errors
/// The remedy, when there is no `=` or no key.
pub(super) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give KEY=VALUE, such as shop=12".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_key(labels: &[&str]) -> Result<HashMap<String, String>, Status> {
        let labels = labels.iter().map(|label| parse_label(label).unwrap());
        labels_by_key(labels.collect())
    }

    #[test]
    fn label_is_split_at_its_first_equals_sign() {
        assert_eq!(parse_label("a=b=c"), Ok(("a".into(), "b=c".into())));
        for text in ["shop", "=1", ""] {
            assert!(parse_label(text).is_err(), "{text}");
        }
    }

    #[test]
    fn key_that_is_given_twice_is_rejected() {
        assert_eq!(by_key(&["shop=1", "till=1"]).unwrap().len(), 2);
        assert!(by_key(&["shop=1", "shop=2"]).is_err());
    }
}
