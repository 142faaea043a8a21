//! Stored bytes of each form, as releases have written them: a later release must read them.
//!
//! A file is never changed. A new form, or a new dictionary, gets a file of its own.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{EncryptionKey, EncryptionKeys, codec::Codec, codec::Form, json};
use crate::{
    store::StoreError,
    transaction::{ReferenceCode, Transaction, TransactionKey},
};

/// A settled purchase of electricity, with labels and a trace.
const JSON: &[u8] = include_bytes!("golden/record.json");
/// The same with dictionary 1, in hex.
const DICTIONARY_1: &str = include_str!("golden/dictionary-1.hex");
/// The same, encrypted with the key `k1` of 32 bytes 7, in hex.
const ENCRYPTED_E1: &str = include_str!("golden/encrypted-e1.hex");

fn keys() -> Arc<EncryptionKeys> {
    let key = EncryptionKey::parse("k1", &STANDARD.encode([7; 32])).unwrap();
    Arc::new(EncryptionKeys::new(vec![key]))
}

fn record() -> Arc<Transaction> {
    let text: serde_json::Value = serde_json::from_slice(JSON).unwrap();
    let code = text["transaction"]["reference_code"].as_str().unwrap();
    json::decode(&key_of(code), JSON).unwrap()
}

fn key_of(code: &str) -> TransactionKey {
    TransactionKey::new(&ReferenceCode::parse(code).unwrap())
}

#[test]
fn bytes_of_every_form_are_read() {
    let (record, codec) = (record(), Codec::new(keys()));
    let key = record.key();
    assert_eq!(json::encode(&record).unwrap(), JSON);
    for stored in [DICTIONARY_1, ENCRYPTED_E1].map(|text| hex::decode(text.trim()).unwrap()) {
        assert_eq!(codec.decode_record(&key, &stored).unwrap(), record);
    }
    assert_eq!(codec.decode_record(&key, JSON).unwrap(), record);
    assert_eq!(codec.schema(), super::SCHEMA, "learnt from a compact body");
}

/// The bytes of `golden/` need this one; others that were written with it would be lost as well.
#[test]
fn dictionary_is_never_changed() {
    let digest = Sha256::digest(include_bytes!("dictionaries/1.dictionary"));
    let known = "bcad2ef8b82c0b1f5e4425bf9ac5fbab0b76b38604238cb64e093e74dd9c8086";
    assert_eq!(hex::encode(digest), known);
}

#[test]
fn every_form_reads_back_as_written() {
    let record = record();
    for keys in [Arc::default(), keys()] {
        let codec = Codec::new(keys);
        for form in [Form::Json, Form::Compact] {
            let stored = codec.encode_record(&record, form).unwrap();
            let read = codec.decode_record(&record.key(), &stored).unwrap();
            assert_eq!(read, record);
            if let Some(event) = codec.encode_event(&record, form).unwrap() {
                let read = codec.decode_event(&record.key(), &event).unwrap();
                assert_eq!(*read, record.as_event());
            }
        }
    }
}

#[test]
fn encrypted_record_is_no_event_and_belongs_to_its_reference_code() {
    let (record, codec) = (record(), Codec::new(keys()));
    let stored = codec.encode_record(&record, Form::Compact).unwrap();
    assert!(codec.decode_event(&record.key(), &stored).is_err());
    assert!(
        codec
            .decode_record(&key_of("reference-2"), &stored)
            .is_err()
    );
    let missing = Codec::new(Arc::default()).decode_record(&record.key(), &stored);
    let error = missing.unwrap_err();
    assert!(matches!(&error, StoreError::KeyMissing { id, .. } if id == "k1"));
    assert!(error.to_string().contains("\"k1\""), "{error}");
}

#[test]
fn unknown_or_damaged_body_is_an_error_and_allocates_little() {
    let (record, codec) = (record(), Codec::new(Arc::default()));
    let key = record.key();
    let stored = codec.encode_record(&record, Form::Compact).unwrap();
    for length in 0..stored.len() {
        assert!(codec.decode_record(&key, &stored[..length]).is_err());
    }
    for first in 0..=u8::MAX {
        let other = [&[first], &stored[1..]].concat();
        if first != stored[0] {
            assert!(codec.decode_record(&key, &other).is_err(), "{first}");
        }
    }
    let later = [&[2], &stored[1..]].concat();
    let error = codec.decode_record(&key, &later).unwrap_err().to_string();
    assert!(error.contains("finish the upgrade"), "{error}");
    // A frame that names a content of 2^62 bytes.
    let bomb = [1, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0];
    let error = codec.decode_record(&key, &bomb).unwrap_err().to_string();
    assert!(error.contains("length is missing or too great"), "{error}");
}

#[test]
fn compact_record_keeps_fields_of_a_later_release() {
    let later = String::from_utf8(JSON.to_vec()).unwrap();
    let later = later.replacen("\"transaction\":{", "\"transaction\":{\"later\":[1.50],", 1);
    let (record, codec) = (record(), Codec::new(keys()));
    let read = json::decode(&record.key(), later.as_bytes()).unwrap();
    let stored = codec.encode_record(&read, Form::Compact).unwrap();
    let again = codec.decode_record(&record.key(), &stored).unwrap();
    let text = String::from_utf8(json::encode(&again).unwrap()).unwrap();
    assert!(text.contains("\"later\":[1.50]"), "{text}");
}
