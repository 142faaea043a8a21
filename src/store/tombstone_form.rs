//! The stored form of a tombstone: the day, the letter of the state, and the owner. Short, because a
//! store keeps many for long.

use super::{
    error::StoreError,
    tombstone::{RetiredState, Tombstone},
};
use crate::transaction::TransactionKey;

/// The length of the part of the hash of a reference code under which a tombstone is stored.
pub(super) const HASH_BYTES: usize = 16;

/// Returns the problem of a stored tombstone and its hash.
#[must_use]
pub fn tombstone_fault(hash: &[u8], text: &str) -> Option<&'static str> {
    if hash.len() != HASH_BYTES {
        return Some("it has no hash of a reference code");
    }
    parse(text).is_none().then_some("it cannot be read")
}

/// Encodes a tombstone.
pub(super) fn encode(tombstone: &Tombstone) -> String {
    let Tombstone {
        state,
        changed_on,
        owner,
    } = tombstone;
    format!("{changed_on}{}{owner}", letter(*state))
}

/// Decodes the tombstone of a transaction.
///
/// # Errors
/// [`StoreError::Corrupt`] when the text is not a tombstone of this release: the reference code
/// then counts neither as unused nor as retired.
pub(super) fn decode(key: &TransactionKey, text: &str) -> Result<Tombstone, StoreError> {
    parse(text).ok_or_else(|| StoreError::Corrupt {
        key: key.to_string(),
        problem: "its tombstone cannot be read".to_owned(),
    })
}

/// Parses a tombstone; returns `None` when it is malformed.
pub(super) fn parse(text: &str) -> Option<Tombstone> {
    let at = text.find(|c: char| c.is_ascii_uppercase())?;
    let (day, rest) = text.split_at(at);
    let mut rest = rest.chars();
    let first = rest.next()?;
    let mut states = RetiredState::ALL.into_iter();
    Some(Tombstone {
        state: states.find(|state| letter(*state) == first)?,
        changed_on: day.parse().ok()?,
        owner: rest.as_str().to_owned(),
    })
}

/// Returns the letter of a state.
fn letter(state: RetiredState) -> char {
    match state {
        RetiredState::Succeeded => 'S',
        RetiredState::Failed => 'F',
        RetiredState::Reversed => 'R',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::ReferenceCode;

    #[test]
    fn tombstone_reads_back_as_written_and_nothing_else_is_one() {
        let key = TransactionKey::new(&ReferenceCode::parse("reference-1").unwrap());
        for state in RetiredState::ALL {
            for owner in ["", "shop", "S"] {
                let tombstone = Tombstone {
                    state,
                    changed_on: 20_747,
                    owner: owner.to_owned(),
                };
                let read = decode(&key, &encode(&tombstone));
                assert_eq!(read.unwrap(), tombstone);
            }
        }
        // Text of a later release is never mistaken for "nothing stored".
        for text in ["", "S", "20747", "20747X", "a20747S", "20747 S"] {
            let refused = decode(&key, text);
            assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{text}");
        }
    }
}
