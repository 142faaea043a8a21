//! Encryption at rest: AES-256-GCM with a random nonce.
//!
//! An encrypted body is `0xE1`, the length of the key's id, the id, the nonce (12 bytes), then the
//! ciphertext of another body with its tag (16 bytes). Its place in the store is authenticated
//! with it, so a body that is copied under another reference code does not open.
//!
//! A random nonce serves about 2^32 bodies under one key with a negligible chance of a repetition:
//! decades at 100,000 purchases a day.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// The first byte of an encrypted body.
pub(super) const ENCRYPTED: u8 = 0xE1;
/// The length of a key, in bytes.
const KEY_BYTES: usize = 32;
/// The longest id of a key, in bytes. Every encrypted body holds it.
const ID_BYTES_MAX: usize = 16;
/// The text whose HMAC identifies a key. It is part of the identity of every store with keys.
const CHECK_TEXT: &[u8] = b"okebayar-gateway: check value of a key of encryption";
/// The bytes of that HMAC that are kept.
const CHECK_BYTES: usize = 16;
/// The start of a text that is encrypted; no other text of the store starts with it.
const TEXT_PREFIX: &str = "sealed:";

/// The error of a text that is not a key or an id of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The id is malformed.
    #[error("the id must be 1 to 16 lower-case letters, digits or hyphens")]
    Id,
    /// The key is not base64, or has another length.
    #[error("it must hold 32 bytes in base64, as `openssl rand -base64 32` prints")]
    Bytes,
}

/// A key of encryption, by the id that encrypted bodies name. Never shown.
pub struct EncryptionKey {
    id: String,
    key: RandomizedNonceKey,
    check: String,
}

impl EncryptionKey {
    /// Returns true for a text that may be the id of a key.
    #[must_use]
    pub fn is_id(text: &str) -> bool {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
    }

    /// Parses a key from its id and its bytes in base64.
    ///
    /// # Errors
    /// [`BadKey`]; it never quotes the key.
    pub fn parse(id: &str, base64: &str) -> Result<Self, BadKey> {
        if !Self::is_id(id) {
            return Err(BadKey::Id);
        }
        let bytes = STANDARD.decode(base64.trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| BadKey::Bytes)?;
        if bytes.len() != KEY_BYTES {
            return Err(BadKey::Bytes);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| BadKey::Bytes)?;
        let check = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), CHECK_TEXT);
        Ok(Self {
            id: id.to_owned(),
            key,
            check: hex::encode(&check.as_ref()[..CHECK_BYTES]),
        })
    }

    /// Returns the id of the key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the check value of the key, in hex: the same for the same key, and of no use to
    /// anyone who does not have it.
    #[must_use]
    pub fn check(&self) -> &str {
        &self.check
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncryptionKey").field(&self.id).finish()
    }
}

/// The keys of a store. All of them decrypt, and the first one encrypts, unless they only decrypt.
#[derive(Debug, Default)]
pub struct EncryptionKeys {
    keys: Vec<EncryptionKey>,
    /// Configured to encrypt nothing.
    only_decrypt: bool,
}

impl EncryptionKeys {
    /// Builds the keys of a store, the one that encrypts first.
    #[must_use]
    pub fn new(keys: Vec<EncryptionKey>) -> Self {
        Self {
            keys,
            only_decrypt: false,
        }
    }

    /// Builds keys that only decrypt: what is written is not encrypted.
    #[must_use]
    pub fn only_decrypting(keys: Vec<EncryptionKey>) -> Self {
        Self {
            keys,
            only_decrypt: true,
        }
    }

    /// Returns true when new bodies are encrypted.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.first().is_some()
    }

    /// Returns true when neither a key is configured nor that there is none.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.keys.is_empty() && !self.only_decrypt
    }

    /// Returns every key.
    pub fn iter(&self) -> impl Iterator<Item = &EncryptionKey> {
        self.keys.iter()
    }

    /// Returns true when a stored body may be readable here although it is encrypted.
    pub(super) fn decrypts(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns the key that encrypts.
    fn first(&self) -> Option<&EncryptionKey> {
        self.keys.first().filter(|_| !self.only_decrypt)
    }

    /// Encrypts a body for its place. Returns it unchanged when there is no key.
    pub(super) fn seal(&self, place: &str, body: Vec<u8>) -> Result<Vec<u8>, Unsealable> {
        let Some(EncryptionKey { id, key, .. }) = self.first() else {
            return Ok(body);
        };
        let mut sealed = body;
        let nonce = key.seal_in_place_append_tag(Aad::from(place), &mut sealed);
        let nonce = nonce.map_err(|_| Unsealable::NotSealed)?;
        let length = u8::try_from(id.len()).map_err(|_| Unsealable::NotSealed)?;
        let head: [&[u8]; 3] = [&[ENCRYPTED, length], id.as_bytes(), nonce.as_ref()];
        Ok([head.concat(), sealed].concat())
    }

    /// Decrypts a body of a place.
    pub(super) fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let envelope = Envelope::read(sealed).ok_or(Unsealable::Malformed)?;
        let known = self.keys.iter().find(|key| key.id == envelope.id);
        let known = known.ok_or_else(|| Unsealable::KeyMissing(envelope.id.to_owned()))?;
        let mut body = envelope.ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(envelope.nonce);
        let opened = known.key.open_in_place(nonce, Aad::from(place), &mut body);
        let length = opened.map_err(|_| Unsealable::Forged)?.len();
        body.truncate(length);
        Ok(body)
    }

    /// Encrypts a text for its place. Returns it unchanged when there is no key.
    pub(super) fn seal_text(&self, place: &str, text: &str) -> Result<String, Unsealable> {
        if !self.encrypts() {
            return Ok(text.to_owned());
        }
        let sealed = self.seal(place, text.as_bytes().to_vec())?;
        Ok(format!("{TEXT_PREFIX}{}", STANDARD.encode(sealed)))
    }

    /// Decrypts a text of a place. Returns one that is not encrypted unchanged.
    pub(super) fn open_text(&self, place: &str, text: String) -> Result<String, Unsealable> {
        let Some(sealed) = text.strip_prefix(TEXT_PREFIX) else {
            return Ok(text);
        };
        let sealed = STANDARD.decode(sealed).map_err(|_| Unsealable::Malformed)?;
        let opened = self.open(place, &sealed)?;
        String::from_utf8(opened).map_err(|_| Unsealable::Malformed)
    }
}

/// The reason why a body cannot be encrypted or decrypted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsealable {
    /// The key of this id is not configured.
    KeyMissing(String),
    /// It was altered, or belongs to another place, or to another key of the same id.
    Forged,
    /// It is not an encrypted body.
    Malformed,
    /// The encryption failed.
    NotSealed,
}

/// An encrypted body, in its parts.
struct Envelope<'a> {
    id: &'a str,
    nonce: [u8; NONCE_LEN],
    ciphertext: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(sealed: &'a [u8]) -> Option<Self> {
        let (&[ENCRYPTED, length], rest) = sealed.split_first_chunk::<2>()? else {
            return None;
        };
        let (id, rest) = rest.split_at_checked(usize::from(length))?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>()?;
        Some(Self {
            id: std::str::from_utf8(id).ok()?,
            nonce: *nonce,
            ciphertext,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> EncryptionKey {
        EncryptionKey::parse(id, &STANDARD.encode([byte; KEY_BYTES])).unwrap()
    }

    #[test]
    fn body_opens_only_in_its_place_and_unaltered() {
        let keys = EncryptionKeys::new(vec![key("k1", 1)]);
        let sealed = keys.seal("record a", b"body".to_vec()).unwrap();
        assert_eq!(keys.open("record a", &sealed).unwrap(), b"body");
        assert_eq!(keys.open("record b", &sealed), Err(Unsealable::Forged));
        assert_eq!(keys.open("event a", &sealed), Err(Unsealable::Forged));
        for index in 4..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert_eq!(keys.open("record a", &altered), Err(Unsealable::Forged));
        }
        for length in 0..sealed.len() {
            assert!(
                keys.open("record a", &sealed[..length]).is_err(),
                "{length}"
            );
        }
        let again = keys.seal("record a", b"body".to_vec()).unwrap();
        assert_ne!(again, sealed, "the nonce is random");
    }

    #[test]
    fn rotation_reads_what_the_former_key_wrote() {
        let old = EncryptionKeys::new(vec![key("k1", 1)]);
        let sealed = old.seal("p", b"body".to_vec()).unwrap();
        let both = EncryptionKeys::new(vec![key("k2", 2), key("k1", 1)]);
        assert_eq!(both.open("p", &sealed).unwrap(), b"body");
        let newer = both.seal("p", b"body".to_vec()).unwrap();
        let missing = Unsealable::KeyMissing("k2".to_owned());
        assert_eq!(old.open("p", &newer), Err(missing));
        // Another key under a known id is never taken for damage of the record alone.
        let other = EncryptionKeys::new(vec![key("k1", 9)]);
        assert_eq!(other.open("p", &sealed), Err(Unsealable::Forged));
    }

    #[test]
    fn text_is_sealed_only_with_a_key_and_read_in_both_forms() {
        let none = EncryptionKeys::default();
        let keys = EncryptionKeys::new(vec![key("k1", 1)]);
        assert_eq!(none.seal_text("p", "{}").unwrap(), "{}");
        let sealed = keys.seal_text("p", "{}").unwrap();
        assert!(sealed.starts_with(TEXT_PREFIX) && !sealed.contains("{}"));
        assert_eq!(keys.open_text("p", sealed.clone()).unwrap(), "{}");
        assert_eq!(keys.open_text("p", "{}".to_owned()).unwrap(), "{}");
        let missing = Unsealable::KeyMissing("k1".to_owned());
        assert_eq!(none.open_text("p", sealed), Err(missing));
    }

    #[test]
    fn keys_that_only_decrypt_write_plain() {
        let sealed = EncryptionKeys::new(vec![key("k1", 1)]).seal_text("p", "{}");
        let keys = EncryptionKeys::only_decrypting(vec![key("k1", 1)]);
        assert_eq!(keys.open_text("p", sealed.unwrap()).unwrap(), "{}");
        assert_eq!(keys.seal_text("p", "{}").unwrap(), "{}");
        assert_eq!(keys.seal("p", b"body".to_vec()).unwrap(), b"body");
        assert!(!keys.encrypts() && !keys.is_unset());
        assert!(!EncryptionKeys::only_decrypting(Vec::new()).is_unset());
        assert!(EncryptionKeys::default().is_unset());
    }

    /// Stores hold this value, so every release must compute it alike.
    #[test]
    fn check_value_of_a_key_never_changes() {
        assert_eq!(key("k1", 7).check(), "55961292e5b88ceb19504fe41dc4f722");
        assert_eq!(key("k2", 7).check(), key("k1", 7).check());
        assert_ne!(key("k1", 8).check(), key("k1", 7).check());
    }

    #[test]
    fn keys_are_parsed_strictly_and_never_shown() {
        let base64 = STANDARD.encode([7; KEY_BYTES]);
        for id in ["", "K1", "k_1", "a-key-id-too-long"] {
            assert_eq!(EncryptionKey::parse(id, &base64).unwrap_err(), BadKey::Id);
        }
        for text in ["", "AAAA", "not base64", &STANDARD.encode([7; 31])] {
            assert_eq!(EncryptionKey::parse("k1", text).unwrap_err(), BadKey::Bytes);
        }
        let key = EncryptionKey::parse("k1", &format!("{base64}\n")).unwrap();
        assert_eq!(format!("{key:?}"), "EncryptionKey(\"k1\")");
    }
}
