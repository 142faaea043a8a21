//! Transaction keys in few bytes, as events name them from schema 4 on.
//!
//! A reference code that is a UUID has a key of 32 hexadecimal digits: it is packed into a zero byte
//! and 16 more. Other keys are text, which has no zero byte.

use crate::{
    store::{StoreError, key::parse_key},
    transaction::TransactionKey,
};

/// The first byte of a packed key.
const PACKED: u8 = 0;

/// Packs a key, if it has 32 hexadecimal digits.
pub(super) fn pack(key: &TransactionKey) -> Vec<u8> {
    let text = key.as_str();
    let mut bytes = [0; 16];
    // A key is in lower case, so these digits are the ones that unpacking writes.
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => [&[PACKED], &bytes[..]].concat(),
        Err(_) => text.as_bytes().to_vec(),
    }
}

/// Unpacks a key.
///
/// # Errors
/// [`StoreError::Corrupt`] when the bytes are not a key.
pub(super) fn unpack(stored: &[u8]) -> Result<TransactionKey, StoreError> {
    match stored.split_first() {
        Some((&PACKED, bytes)) => parse_key(&hex::encode(bytes)),
        _ => parse_key(&String::from_utf8_lossy(stored)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_unpacks_as_packed() {
        let uuid = "dd0816c2574e4a148be48c4572b3bb42";
        for (text, length) in [
            (uuid, 17),
            ("order2026000001", 15),
            ("0123456789abcdef", 16),
            ("zz0816c2574e4a148be48c4572b3bb42", 32),
        ] {
            let key = TransactionKey::parse(text).unwrap();
            let packed = pack(&key);
            assert_eq!(packed.len(), length, "{text}");
            assert_eq!(unpack(&packed).unwrap(), key);
        }
        assert!(unpack(&[PACKED]).is_err() && unpack(&[]).is_err());
    }
}
