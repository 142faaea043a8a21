//! The mark of an erased transaction, with a salted hash of its contents.
//!
//! Account numbers are short, so the hash is a slow one.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::intent::Contents;

/// The iterations of the hash: some milliseconds, once for each repeated call.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(19_999);
const HASH_BYTES: usize = 32;

/// The mark of an erased transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The time of the erasure.
    at: Timestamp,
    /// The random salt of the hash, in hex.
    salt: String,
    /// The hash of the contents, in hex.
    contents: String,
}

impl Erasure {
    /// Marks the contents. `salt` must be random.
    pub(super) fn new(contents: &Contents, salt: [u8; 16], at: Timestamp) -> Self {
        let mut hash = [0; HASH_BYTES];
        let text = text_of(contents);
        pbkdf2::derive(PBKDF2_HMAC_SHA256, ITERATIONS, &salt, &text, &mut hash);
        Self {
            at,
            salt: hex::encode(salt),
            contents: hex::encode(hash),
        }
    }

    /// Returns true when the contents of a request are those that were erased.
    #[must_use]
    pub fn is_of(&self, contents: &Contents) -> bool {
        let (Ok(salt), Ok(hash)) = (hex::decode(&self.salt), hex::decode(&self.contents)) else {
            return false;
        };
        let text = text_of(contents);
        pbkdf2::verify(PBKDF2_HMAC_SHA256, ITERATIONS, &salt, &text, &hash).is_ok()
    }
}

/// Returns the contents as they are stored, which every later release must write alike.
fn text_of(contents: &Contents) -> Vec<u8> {
    serde_json::to_vec(contents).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of the text that is hashed would refuse the repeated calls of erased transactions. The
    /// marks are stored ones.
    #[test]
    fn stored_marks_recognize_their_contents() {
        for (contents, hash) in [
            (
                r#"{"operation":"purchase_prepaid","product_code":"HPLNPRA20","account_number":"512345678901","inquiry_code":"INQ1"}"#,
                "30198e81185abf43468e52f9aeaaa8bce9e64d4b0d66478822deac7a45db9241",
            ),
            (
                r#"{"operation":"purchase_prepaid","product_code":"T5","account_number":"082233445566"}"#,
                "aa57b08a65ff0d105367957d5e8d3d5b9165347a2c9cbef944214bd05ff4c2c5",
            ),
            (
                r#"{"operation":"pay_postpaid","inquiry_code":"INQ1","total":"150000"}"#,
                "dbc03b134eebd83c4761e330ed41ceb4f14c592ac06cee3b0ece4882157f0bf3",
            ),
        ] {
            let text = contents;
            let contents: Contents = serde_json::from_str(text).unwrap();
            assert_eq!(String::from_utf8(text_of(&contents)).unwrap(), text);
            let mark = serde_json::json!({
                "at": "2026-11-01T00:00:00Z",
                "salt": "07070707070707070707070707070707",
                "contents": hash,
            });
            let mark: Erasure = serde_json::from_value(mark).unwrap();
            assert!(mark.is_of(&contents), "{text}");
        }
    }
}
