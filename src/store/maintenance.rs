//! The calls of an operator's commands to an opened store, beside its contract.

use jiff::Timestamp;

use super::{
    cursor::Cursor,
    error::StoreError,
    identity::{
        self, CopyMark, Facts, key_facts, refuse_marked, true_schema, verify_keys,
        verify_partitions,
    },
    open::{Backend, OpenedStore},
    walk::{IndexEntries, NextEvent, SeenGateways, StoreSizes, WalkPage, WalkPart, Walked},
};
use crate::transaction::Transaction;

impl OpenedStore {
    /// Reads a page of a walk, from the place at which the last page ended. `now` is the time from
    /// which the expiry of notes counts.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn walk(
        &self,
        part: WalkPart,
        from: Option<&str>,
        now: Timestamp,
    ) -> Result<WalkPage, StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.read_walk(part, from).await,
            Backend::Redis(store) => store.read_walk(part, from, now).await,
        }
    }

    /// Reads the entries of a transaction in the indexes.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn index_entries(
        &self,
        transaction: &Transaction,
    ) -> Result<IndexEntries, StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.read_index_entries(transaction).await,
            Backend::Redis(store) => store.read_index_entries(transaction).await,
        }
    }

    /// Returns true when an entry that a walk visited is still there. The entries of an embedded store
    /// are: no gateway has it open.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn still_holds(&self, entry: &Walked) -> Result<bool, StoreError> {
        match &self.0 {
            Backend::Embedded(_) => Ok(true),
            Backend::Redis(store) => store.holds(entry).await,
        }
    }

    /// Returns the cursor before the oldest event of every partition.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn events_start(&self) -> Result<Cursor, StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.events_start().await,
            Backend::Redis(store) => store.events_start().await,
        }
    }

    /// Reads what follows a cursor in one partition.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn next_event(
        &self,
        cursor: &Cursor,
        partition: usize,
    ) -> Result<NextEvent, StoreError> {
        let after = cursor.positions.get(partition).copied().unwrap_or_default();
        match &self.0 {
            Backend::Embedded(store) => store.read_next_event(after.number).await,
            Backend::Redis(store) => store.read_next_event(partition, after).await,
        }
    }

    /// Reads the size of the store and of its parts. `records` is the number of its records.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn sizes(&self, records: u64) -> Result<StoreSizes, StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.read_sizes().await,
            Backend::Redis(store) => store.read_sizes(records).await,
        }
    }

    /// Returns the gateways that are seen at the store: none at an embedded one, which is open in
    /// this process only.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn seen_gateways(&self) -> Result<SeenGateways, StoreError> {
        match &self.0 {
            Backend::Embedded(_) => Ok(SeenGateways::default()),
            Backend::Redis(store) => store.seen_gateways().await,
        }
    }

    /// Reads a tombstone, as stored, by the first 16 bytes of the SHA-256 of its reference code.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn tombstone_text(&self, hash: &[u8]) -> Result<Option<String>, StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.tombstone_text(hash).await,
            Backend::Redis(store) => store.tombstone_text(hash).await,
        }
    }

    /// Overwrites what earlier versions of records left in the file of an embedded store, which takes
    /// the time of rewriting it. Redis keeps none, except in its append-only file.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be rewritten; safe to retry.
    pub async fn overwrite_freed(&self) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.overwrite_freed().await,
            Backend::Redis(_) => Ok(()),
        }
    }

    /// Writes a tombstone by the first 16 bytes of the SHA-256 of its reference code.
    ///
    /// # Errors
    /// [`StoreError`] when it is not stored, or the result is indeterminate.
    pub async fn put_tombstone(&self, hash: &[u8], text: &str) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.put_tombstone(hash, text).await,
            Backend::Redis(store) => store.put_tombstone(hash, text).await,
        }
    }

    /// Waits until as many replicas have every write so far as must acknowledge a claim.
    ///
    /// # Errors
    /// [`StoreError`] when too few of them acknowledge it in time.
    pub async fn acknowledge_all(&self) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Embedded(_) => Ok(()),
            Backend::Redis(store) => store.acknowledge_all().await,
        }
    }

    /// Returns the mark of a store that takes part in a copy.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn copy_mark(&self) -> Result<Option<CopyMark>, StoreError> {
        Ok(CopyMark::of(&self.facts().await?))
    }

    /// Returns true when the store has no identity: no gateway has used it.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn is_unused(&self) -> Result<bool, StoreError> {
        Ok(self.facts().await?.is_empty())
    }

    /// Returns the faults of the identity, one text for each; `partitions` is the configured number.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn identity_faults(&self) -> Result<Vec<String>, StoreError> {
        Ok(identity::faults(self.partitions(), &self.facts().await?))
    }

    /// Verifies that a store which is not adopted has the configured number of partitions.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when it has another number.
    pub(super) async fn verify_partitions(&self) -> Result<(), StoreError> {
        verify_partitions(self.partitions(), &self.facts().await?)
    }

    /// Returns the configured number of partitions; an embedded store has none.
    fn partitions(&self) -> Option<u64> {
        match &self.0 {
            Backend::Embedded(_) => None,
            Backend::Redis(store) => Some(store.settings().partitions),
        }
    }

    /// Compares and sets the mark of a store: `to` replaces `from`. Returns false when the store has
    /// another mark.
    ///
    /// # Errors
    /// [`StoreError`] when the mark is not stored, or the result is indeterminate: read it back.
    pub async fn replace_mark(
        &self,
        from: Option<&CopyMark>,
        to: Option<&CopyMark>,
    ) -> Result<bool, StoreError> {
        let (from, to) = (from.cloned(), to.cloned());
        let replace = move |stored: &Facts| {
            if CopyMark::of(stored) != from {
                return Ok((false, Facts::new()));
            }
            Ok((
                true,
                match &to {
                    Some(to) => to.facts(stored),
                    None => CopyMark::removed(stored)?,
                },
            ))
        };
        match &self.0 {
            Backend::Embedded(store) => store.amend_facts(replace).await,
            Backend::Redis(store) => store.amend_identity(replace).await,
        }
    }

    /// Gives an unused store the accounts and the schema of a source, and the mark of a target.
    /// Returns false when it is used.
    ///
    /// # Errors
    /// [`StoreError`] when the identity is not stored, or the result is indeterminate.
    pub async fn become_target(&self, source: &Self, mark: &CopyMark) -> Result<bool, StoreError> {
        let (copied, mark) = (source.facts().await?, mark.clone());
        let keys = key_facts(self.codec().keys());
        let become_target = move |partitions| {
            move |stored: &Facts| {
                let is_new = stored.is_empty()
                    || CopyMark::of(stored).is_some_and(|mark| mark.is_of_no_copy());
                if !is_new {
                    return Ok((false, Facts::new()));
                }
                Ok((true, mark.target_facts(&copied, partitions, keys.clone())))
            }
        };
        let is_target = match &self.0 {
            Backend::Embedded(store) => store.amend_facts(become_target(None)).await,
            Backend::Redis(store) => store.amend_identity(become_target(self.partitions())).await,
        };
        self.learn_schema().await?;
        is_target
    }

    /// Reads and writes from now on in the form of the store's schema, also while a copy holds it.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer, or does not fit the configured keys.
    pub(super) async fn learn_schema(&self) -> Result<(), StoreError> {
        let facts = self.facts().await?;
        let Some(schema) = true_schema(&facts).and_then(|schema| schema.parse().ok()) else {
            return Ok(());
        };
        self.codec().learn(schema);
        verify_keys(self.codec().keys(), &facts)
    }

    /// Verifies that no copy holds the store.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] with the remedy, when one does.
    pub async fn refuse_marked(&self) -> Result<(), StoreError> {
        refuse_marked(&self.facts().await?)
    }

    async fn facts(&self) -> Result<Facts, StoreError> {
        match &self.0 {
            Backend::Embedded(store) => store.facts().await,
            Backend::Redis(store) => store.read_identity().await,
        }
    }
}
