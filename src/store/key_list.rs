//! A list of transactions in one note: the payments of a bill, the sales of an inquiry.

use super::{CasResult, Expiry, Store, StoreError, key};
use crate::transaction::TransactionKey;

/// The length from which a settled transaction is evicted before another is added.
const EVICTION_LENGTH: usize = 64;

/// The transactions in a note, settled or not, as read.
#[derive(Debug)]
pub struct KeyList {
    text: Option<String>,
    keys: Vec<TransactionKey>,
}

impl KeyList {
    /// Reads the list of a note.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn read(store: &dyn Store, name: &str) -> Result<Self, StoreError> {
        Self::parse(store.note(name).await?)
    }

    /// Parses the list in the text of a note.
    ///
    /// # Errors
    /// [`StoreError`] when it is malformed.
    pub fn parse(text: Option<String>) -> Result<Self, StoreError> {
        let listed = text.as_deref().unwrap_or_default().split(' ');
        let keys = listed.filter(|key| !key.is_empty());
        let keys = keys.map(key::parse_key).collect::<Result<_, _>>()?;
        Ok(Self { text, keys })
    }

    /// Returns the transactions, oldest first.
    #[must_use]
    pub fn keys(&self) -> &[TransactionKey] {
        &self.keys
    }

    /// Returns true when a settled transaction must be evicted before another is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.keys.len() >= EVICTION_LENGTH
    }

    /// Gives the note another end, if `key` is in the list. One that has changed since it was read
    /// has an end of its own.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn renew(
        &self,
        store: &dyn Store,
        name: &str,
        key: &TransactionKey,
        keep: Expiry,
    ) -> Result<(), StoreError> {
        if let Some(text) = &self.text
            && self.keys.contains(key)
        {
            store.put_note(name, Some(text), text, keep).await?;
        }
        Ok(())
    }

    /// Stores the list without `evicted` and with `key` as the last one. Returns false when the
    /// note has changed since it was read.
    ///
    /// # Errors
    /// [`StoreError`] when the list is not stored, or the result is indeterminate.
    pub async fn put_last(
        &self,
        store: &dyn Store,
        name: &str,
        key: &TransactionKey,
        evicted: &[TransactionKey],
        keep: Expiry,
    ) -> Result<bool, StoreError> {
        let stay = |listed: &&TransactionKey| *listed != key && !evicted.contains(listed);
        let stays = self.keys.iter().filter(stay).chain([key]);
        let text = stays.map(TransactionKey::as_str).collect::<Vec<_>>();
        let text = text.join(" ");
        let put = store.put_note(name, self.text.as_deref(), &text, keep);
        Ok(put.await? == CasResult::Done)
    }
}
