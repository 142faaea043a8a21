//! Encodes and decodes what a store holds, in the form that its schema requires.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    cipher::{ENCRYPTED, EncryptionKeys, Unsealable},
    compact, json,
};
use crate::{
    store::{
        error::StoreError,
        notes::{self, BoundedList, ItemTexts, SealedItem},
    },
    transaction::{Transaction, TransactionKey},
};

/// The schema of a store that this release creates.
pub const SCHEMA: u32 = 4;
/// The schema of a store that the release before this one created, and can share with it.
pub const SCHEMA_BEFORE: u32 = 3;

/// The time after the upgrade of a store in which a gateway of the release before may still use it: far
/// longer than the time between two of its verifications (4 s), each of which ends after 5 s.
pub(in crate::store) const EARLIER_GATEWAYS_END: Duration = Duration::from_mins(1);

/// The form in which bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Form {
    /// JSON, as the release before this one writes it.
    Json,
    /// Compressed, and encrypted when a key is configured.
    Compact,
}

/// The encoder and decoder of one open store.
#[derive(Debug)]
pub(in crate::store) struct Codec {
    /// Never lowered: no store goes back to an earlier schema.
    schema: AtomicU32,
    /// The time at which this process learnt of [`SCHEMA`].
    learnt_at: OnceLock<Instant>,
    /// No gateway of the release before has ever used the store.
    is_new: AtomicBool,
    keys: Arc<EncryptionKeys>,
}

impl Codec {
    /// Builds a codec that reads every form; it writes JSON until it learns of a later schema.
    pub(in crate::store) fn new(keys: Arc<EncryptionKeys>) -> Self {
        Self {
            schema: AtomicU32::new(SCHEMA_BEFORE),
            learnt_at: OnceLock::new(),
            is_new: AtomicBool::new(false),
            keys,
        }
    }

    /// Returns the keys of encryption.
    pub(in crate::store) fn keys(&self) -> &Arc<EncryptionKeys> {
        &self.keys
    }

    /// Returns the schema of the store, as far as this process knows.
    pub(in crate::store) fn schema(&self) -> u32 {
        self.schema.load(Ordering::SeqCst)
    }

    /// Learns the schema of the store.
    pub(in crate::store) fn learn(&self, schema: u32) {
        if schema >= SCHEMA {
            self.learnt_at.get_or_init(Instant::now);
        }
        self.schema.fetch_max(schema, Ordering::SeqCst);
    }

    /// Learns that no gateway of the release before has ever used the store, or can use it.
    pub(in crate::store) fn learn_unshared(&self) {
        self.is_new.store(true, Ordering::SeqCst);
    }

    /// Returns true when records may end: no gateway that may use the store is without tombstones.
    ///
    /// SUBTLE: a gateway of the release before refuses an upgraded store only at its next
    /// verification:
    ///
    /// 1. a gateway of the release before, whose subscription is interrupted, is not seen by `store
    ///    upgrade`, which raises the schema;
    /// 2. this process learns of it, and retires a record;
    /// 3. a call repeats that purchase at the gateway of step 1, which finds neither a record nor,
    ///    because it knows none, a tombstone, and buys again.
    ///
    /// So records end only [`EARLIER_GATEWAYS_END`] after this process learnt of the schema. A store
    /// that was created with it has refused such a gateway from the start.
    pub(in crate::store) fn ends_records(&self) -> bool {
        let learnt_at = self.learnt_at.get();
        learnt_at.is_some_and(|at| {
            self.is_new.load(Ordering::SeqCst) || at.elapsed() >= EARLIER_GATEWAYS_END
        })
    }

    /// Returns the form to write in. A commit asks once, so that its parts have one form.
    pub(in crate::store) fn form(&self) -> Form {
        if self.schema() >= SCHEMA {
            Form::Compact
        } else {
            Form::Json
        }
    }

    /// Returns true when what is written is encrypted.
    pub(in crate::store) fn encrypts(&self) -> bool {
        self.keys.encrypts()
    }

    /// Encodes the record of a transaction.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it cannot be encoded.
    pub(in crate::store) fn encode_record(
        &self,
        transaction: &Transaction,
        form: Form,
    ) -> Result<Vec<u8>, StoreError> {
        self.encode(RECORD, transaction, form)
    }

    /// Encodes the event of a change; `None` when the record serves as one.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it cannot be encoded.
    pub(in crate::store) fn encode_event(
        &self,
        transaction: &Transaction,
        form: Form,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match form {
            Form::Json => Ok(None),
            Form::Compact => self.encode(EVENT, &transaction.as_event(), form).map(Some),
        }
    }

    fn encode(
        &self,
        kind: &str,
        transaction: &Transaction,
        form: Form,
    ) -> Result<Vec<u8>, StoreError> {
        let text = json::encode(transaction)?;
        if form == Form::Json {
            return Ok(text);
        }
        let key = transaction.key();
        let compact = compact::compress(&text).map_err(|problem| json::corrupt(&key, &problem))?;
        let sealed = self.keys.seal(&place(kind, key.as_str()), compact);
        sealed.map_err(|problem| unsealable(key.as_str(), problem))
    }

    /// Decodes and verifies the record that is stored under `key`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is not a record of that key, and
    /// [`StoreError::KeyMissing`] when it is encrypted with a key that is not configured.
    pub(in crate::store) fn decode_record(
        &self,
        key: &TransactionKey,
        body: &[u8],
    ) -> Result<Arc<Transaction>, StoreError> {
        self.decode(RECORD, key, body)
    }

    /// Decodes and verifies an event of the transaction `key`.
    ///
    /// # Errors
    /// As [`Self::decode_record`].
    pub(in crate::store) fn decode_event(
        &self,
        key: &TransactionKey,
        body: &[u8],
    ) -> Result<Arc<Transaction>, StoreError> {
        self.decode(EVENT, key, body)
    }

    fn decode(
        &self,
        kind: &str,
        key: &TransactionKey,
        body: &[u8],
    ) -> Result<Arc<Transaction>, StoreError> {
        match body.first() {
            Some(b'{') => json::decode(key, body),
            Some(&ENCRYPTED) => {
                self.learn(SCHEMA);
                let opened = self.keys.open(&place(kind, key.as_str()), body);
                let opened = opened.map_err(|problem| unsealable(key.as_str(), problem))?;
                Self::decode_plain(key, &opened)
            }
            Some(&first) if compact::is_compact(first) => {
                self.learn(SCHEMA);
                Self::decode_plain(key, body)
            }
            _ => Err(json::corrupt(key, "it has no form that this release knows")),
        }
    }

    fn decode_plain(key: &TransactionKey, body: &[u8]) -> Result<Arc<Transaction>, StoreError> {
        if body.first() == Some(&b'{') {
            return json::decode(key, body);
        }
        let text = compact::decompress(body).map_err(|problem| json::corrupt(key, &problem))?;
        json::decode(key, &text)
    }

    /// Returns true when a note that is read here may be encrypted, so that one text has many stored
    /// forms.
    pub(in crate::store) fn may_be_sealed(&self, name: &str) -> bool {
        self.keys.decrypts() && notes::is_personal(name)
    }

    /// Encrypts a note, if it may hold data of a customer and a key is configured.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when that fails.
    pub(in crate::store) fn seal_note(&self, name: &str, text: &str) -> Result<String, StoreError> {
        if !notes::is_personal(name) {
            return Ok(text.to_owned());
        }
        let sealed = self.keys.seal_text(&place(NOTE, name), text);
        sealed.map_err(|problem| unsealable(name, problem))
    }

    /// Decrypts a note, if it is encrypted.
    ///
    /// # Errors
    /// As [`Self::decode_record`].
    pub(in crate::store) fn open_note(
        &self,
        name: &str,
        text: String,
    ) -> Result<String, StoreError> {
        let opened = self.keys.open_text(&place(NOTE, name), text);
        opened.map_err(|problem| unsealable(name, problem))
    }

    /// Encrypts an item of a list, if it may name a customer and a key is configured.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when that fails.
    pub(in crate::store) fn seal_item(
        &self,
        list: BoundedList,
        item: &str,
    ) -> Result<String, StoreError> {
        if !list.is_personal() {
            return Ok(item.to_owned());
        }
        let sealed = self.keys.seal_text(&place(ITEM, list.name()), item);
        sealed.map_err(|problem| unsealable(list.name(), problem))
    }

    /// Decrypts items of a list, as far as they are encrypted: each alone, so that one which cannot be
    /// read hides no other.
    pub(in crate::store) fn open_items(&self, list: BoundedList, items: Vec<String>) -> ItemTexts {
        let open = |stored: String| {
            let opened = self.open_item(list, stored.clone());
            opened.map_err(|error| SealedItem { stored, error })
        };
        items.into_iter().map(open).collect()
    }

    /// Decrypts an item of a list, if it is encrypted.
    ///
    /// # Errors
    /// As [`Self::decode_record`].
    pub(in crate::store) fn open_item(
        &self,
        list: BoundedList,
        item: String,
    ) -> Result<String, StoreError> {
        let opened = self.keys.open_text(&place(ITEM, list.name()), item);
        opened.map_err(|problem| unsealable(list.name(), problem))
    }
}

const RECORD: &str = "record";
const EVENT: &str = "event";
const NOTE: &str = "note";
const ITEM: &str = "item";

/// Returns the place of a body, which its encryption authenticates.
fn place(kind: &str, name: &str) -> String {
    format!("{kind} {name}")
}

fn unsealable(name: &str, problem: Unsealable) -> StoreError {
    let problem = match problem {
        Unsealable::KeyMissing(id) => {
            return StoreError::KeyMissing {
                key: name.to_owned(),
                id,
            };
        }
        Unsealable::Forged => {
            "it does not open: it was altered or copied, or its key has another value here"
        }
        Unsealable::Malformed => "it is not an encrypted body",
        Unsealable::NotSealed => "it cannot be encrypted",
    };
    StoreError::Corrupt {
        key: name.to_owned(),
        problem: problem.to_owned(),
    }
}
