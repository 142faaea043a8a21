//! A list of transactions in one note: the payments of a bill, the sales of an inquiry.

use uuid::Uuid;

use super::{CasResult, Expiry, Store, StoreError, key};
use crate::transaction::TransactionKey;

/// The length from which a settled transaction is evicted before another is added.
const EVICTION_LENGTH: usize = 64;
/// The start of the mark of a removal that has begun: no key contains it.
const MARK: char = '~';

/// The transactions in a note, settled or not, as read.
#[derive(Debug)]
pub struct KeyList {
    text: Option<String>,
    keys: Vec<TransactionKey>,
    is_marked: bool,
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
        let listed = listed.filter(|word| !word.is_empty());
        let (marks, keys): (Vec<_>, Vec<_>) = listed.partition(|word| word.starts_with(MARK));
        let is_marked = !marks.is_empty();
        let keys = keys.into_iter().map(key::parse_key);
        let keys = keys.collect::<Result<_, _>>()?;
        Ok(Self {
            text,
            keys,
            is_marked,
        })
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

    /// Returns true while a removal from the list has begun. Every write of the list ends it.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// Marks the list before a removal, with an id that no other mark has. Returns the marked list;
    /// `None` when the note has changed since it was read.
    ///
    /// # Errors
    /// [`StoreError`] when the mark is not stored, or the result is indeterminate.
    pub async fn mark(
        self,
        store: &dyn Store,
        name: &str,
        id: Uuid,
        keep: Expiry,
    ) -> Result<Option<Self>, StoreError> {
        let text = format!("{} {MARK}{}", join(self.keys.iter()), id.simple());
        let put = store.put_note(name, self.text.as_deref(), &text, keep);
        let is_marked = put.await? == CasResult::Done;
        Ok(is_marked.then_some(Self {
            text: Some(text),
            keys: self.keys,
            is_marked,
        }))
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
        let text = join(self.keys.iter().filter(stay).chain([key]));
        let put = store.put_note(name, self.text.as_deref(), &text, keep);
        Ok(put.await? == CasResult::Done)
    }

    /// Stores the list without these transactions. Returns false when the note has changed since it
    /// was read.
    ///
    /// # Errors
    /// [`StoreError`] when the list is not stored, or the result is indeterminate.
    pub async fn remove(
        &self,
        store: &dyn Store,
        name: &str,
        removed: &[TransactionKey],
        keep: Expiry,
    ) -> Result<bool, StoreError> {
        let text = join(self.keys.iter().filter(|listed| !removed.contains(listed)));
        let put = store.put_note(name, self.text.as_deref(), &text, keep);
        Ok(put.await? == CasResult::Done)
    }
}

fn join<'a>(keys: impl Iterator<Item = &'a TransactionKey>) -> String {
    let keys: Vec<_> = keys.map(TransactionKey::as_str).collect();
    keys.join(" ")
}
