//! The commit: the arguments of `commit.lua`, and its reply.

use jiff::Timestamp;
use redis::{Cmd, Value};

use super::{
    cas_reply::CasReply,
    error::unreadable_reply,
    keys::{account_asked_key, account_due_key},
    listing::listing_member,
    store::RedisStore,
    tombstones::place_of,
};
use crate::{
    store::{
        Commit, NoteTexts, StoreError,
        epoch::{self, parts_of},
        listing, record, tombstone_form,
    },
    transaction::Change,
};

impl RedisStore {
    /// Commits a change by compare-and-set, and reads notes after it, where that takes no further
    /// round trip: at a store of one server, unless replicas must acknowledge the commit.
    pub(super) async fn commit_change(
        &self,
        change: &Change,
        epoch: Option<&str>,
        notes: &[String],
    ) -> Result<(Commit, Option<NoteTexts>), StoreError> {
        let Change {
            transaction,
            from,
            is_event,
            releases,
        } = change;
        let key = transaction.key();
        let keys = self.keys(&key);
        let oldest = transaction
            .updated_at()
            .checked_sub(self.settings.event_retention);
        let (state, entry) = listing::entry_of(transaction);
        let is_claim = epoch.is_some();
        let (epoch, seal) = parts_of(epoch.unwrap_or_default());
        let partition = keys.partition_index();
        let tombstone = place_of(&key, keys.partition);
        let mut call = self.scripts.commit.key(keys.record);
        call.key(keys.due)
            .key(keys.events)
            .key(keys.listing)
            .key(keys.number)
            .key(account_due_key(keys.partition, transaction.account()))
            .key(account_asked_key(keys.partition, transaction.account()))
            .key(keys.seal)
            .key(tombstone.bucket)
            .arg(text(from.map(|from| from.version)))
            .arg(transaction.version())
            .arg(record::encode(transaction)?)
            .arg(key.to_string())
            .arg(text(transaction.due_at().map(Timestamp::as_millisecond)))
            .arg(text(is_event.then(|| transaction.revision())))
            .arg(oldest.map_or(0, |oldest| oldest.as_millisecond().max(0)))
            .arg(listing_member(state, &entry))
            .arg(epoch::of_partition(epoch, partition))
            .arg(text(from.map(|from| from.token)))
            .arg(text(transaction.asked_at().map(Timestamp::as_millisecond)))
            .arg(text(*releases))
            .arg(seal)
            .arg(tombstone.field);
        let mut texts = None;
        let (reply, acknowledged): (Vec<Value>, _) = if is_claim && self.requires_replicas() {
            self.invoke_claim(&call).await?
        } else {
            let reads: Vec<Cmd> = notes
                .iter()
                .map(|name| Cmd::get(self.note_key(name)))
                .collect();
            let (reply, read) = self.invoke_and_read(&call, &reads).await?;
            texts = read;
            (reply, Ok(()))
        };
        let committed =
            match CasReply::<Vec<u8>>::read(reply).map_err(|error| unreadable_reply(&error))? {
                CasReply::Done => acknowledged.map(|()| Commit::Done)?,
                CasReply::OtherEpoch => Commit::OtherEpoch,
                CasReply::Retired(text) => {
                    let text = String::from_utf8_lossy(&text);
                    return Err(StoreError::Retired(tombstone_form::decode(&key, &text)?));
                }
                CasReply::Stored(stored) => {
                    let stored = stored.map(|bytes| record::decode(&key, &bytes));
                    Commit::Conflict(stored.transpose()?)
                }
            };
        Ok((committed, texts))
    }
}

/// Formats an optional argument; empty when there is none.
fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
