//! The commit: the arguments of `commit.lua`, and its reply.

use jiff::Timestamp;
use redis::{Cmd, Value};

use super::{
    cas_reply::CasReply,
    error::unreadable_reply,
    keys::{account_asked_key, account_due_key},
    listing::listing_rest,
    packed_key,
    store::RedisStore,
    tombstones::place_of,
};
use crate::{
    store::{
        Commit, NoteTexts, StoreError,
        epoch::{self, parts_of},
        listing,
        record::Form,
        tombstone_form,
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
        // Asked once: the parts of a commit have one form.
        let form = self.codec.form();
        let oldest = transaction
            .updated_at()
            .checked_sub(self.settings.event_retention);
        let (state, entry) = listing::entry_of(transaction);
        let (epoch, seal) = parts_of(epoch.unwrap_or_default());
        let is_claim = !epoch.is_empty();
        let partition = keys.partition_index();
        let tombstone = place_of(&key, keys.partition);
        let event = match is_event {
            true => self.codec.encode_event(transaction, form)?,
            false => None,
        };
        let token = transaction.token();
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
            .arg(text(from.map(|from| from.token)))
            .arg(from.map_or(Vec::new(), |from| from.token.as_bytes().to_vec()))
            .arg(transaction.version())
            .arg(transaction.revision())
            .arg(text(is_event.then_some(1)))
            .arg(self.codec.encode_record(transaction, form)?)
            .arg(event.unwrap_or_default())
            .arg(key.to_string())
            .arg(text(transaction.due_at().map(Timestamp::as_millisecond)))
            .arg(text(transaction.asked_at().map(Timestamp::as_millisecond)))
            .arg(text(*releases))
            .arg(state)
            .arg(listing_rest(&entry))
            .arg(oldest.map_or(0, |oldest| oldest.as_millisecond().max(0)))
            .arg(epoch::of_partition(epoch, partition))
            .arg(seal)
            .arg(match form {
                Form::Json => &[][..],
                Form::Compact => token.as_bytes(),
            })
            .arg(match form {
                Form::Json => key.as_str().as_bytes().to_vec(),
                Form::Compact => packed_key::pack(&key),
            })
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
            texts = read.map(|texts: NoteTexts| self.open_notes(notes, texts));
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
                    let stored = stored.map(|bytes| self.codec.decode_record(&key, &bytes));
                    Commit::Conflict(stored.transpose()?)
                }
            };
        // A note that cannot be read is read again by a call of its own, which reports why.
        Ok((committed, texts.and_then(Result::ok)))
    }
}

/// Formats an optional argument; empty when there is none.
fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
