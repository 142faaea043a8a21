//! The form of notes, by the beginning of their names.

use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{
    failover::{carried, known_epoch},
    store::{KeyList, key::parse_key},
    transaction::{InquiriesMade, InquiriesUnderCode},
};

/// Returns the problem of a note; `None` when it can be read, or only a later release knows it.
pub(super) fn problem_of(name: &str, text: &str) -> Option<String> {
    if name == known_epoch::NOTE {
        return carried::note_fault(text);
    }
    let (kind, _) = name.split_once(':')?;
    let is_readable = match kind {
        "inquiry" => is_json::<InquiriesUnderCode>(text),
        "inquired" => is_json::<InquiriesMade>(text),
        "bound" => are_keys(text),
        "bill" | "sold" => KeyList::parse(Some(text.to_owned())).is_ok(),
        "price" | "orphan" | "notice" | "notices-new" => is_json::<IgnoredAny>(text),
        _ => true,
    };
    (!is_readable).then(|| "the note cannot be read".to_owned())
}

fn is_json<T: DeserializeOwned>(text: &str) -> bool {
    serde_json::from_str::<T>(text).is_ok()
}

/// Returns true when a text is a list of transactions.
fn are_keys(text: &str) -> bool {
    let mut keys = text.split(' ').filter(|key| !key.is_empty());
    keys.all(|key| parse_key(key).is_ok())
}
