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
