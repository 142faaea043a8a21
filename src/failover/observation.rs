//! Observation of a store's replication epoch, and the operator's changes of the guard.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

use super::known_epoch::{EpochNote, KnownEpoch, LossStatus, NOTE, Seals, parse, unreadable};
use crate::ledger::hub::LISTEN_AGAIN_AFTER;
use crate::store::{Keep, Put, Store, StoreError};

/// How long a store without a note must stay without another gateway before it is new: longer
/// than one that runs takes to connect again.
const NEW_AFTER: Duration = LISTEN_AGAIN_AFTER.saturating_add(Duration::from_millis(400));
/// The pause between two looks for another gateway.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Longer than any store.
const NOTE_KEPT: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// What is found of the note and the seals.
pub(super) struct Observation {
    pub(super) text: Option<String>,
    pub(super) noted: Option<EpochNote>,
    pub(super) seals: Seals,
    pub(super) history: String,
    /// There is no note, and other gateways are connected that must have had one.
    pub(super) is_emptied_in_use: bool,
    /// There is no note, and no other gateway is connected, but one may be soon.
    pub(super) may_be_new: bool,
}

impl Observation {
    /// Reads everything, and writes nothing. `known` is what the caller had seen before.
    pub(super) async fn read(
        store: &dyn Store,
        known: Option<&KnownEpoch>,
    ) -> Result<Self, StoreError> {
        // SUBTLE: the note before the seals. (1) We read the note with id X, (2) another
        // gateway gives the note the id Y and seals with Y, (3) we read the seals and miss
        // X. The note has changed by then, so what we conclude is not stored.
        let text = store.note(NOTE).await?;
        let noted = text.as_deref().map(parse).transpose()?;
        let seals = store.seals().await?;
        let seen = noted.as_ref().or(known.map(|known| &known.note));
        let history = store
            .history_name(seen.map(|seen| seen.history.as_str()))
            .await?;
        // SUBTLE: a gateway listens only after its first look wrote the note. (1) Two gateways
        // start on a new store, and one reads no note, (2) the other writes the note and then
        // listens, (3) the first finds a listener. So it reads the note again: whoever finds
        // listeners, and no note after that, is on an emptied store.
        let (mut is_emptied_in_use, mut may_be_new) = (false, false);
        if noted.is_none() {
            let listeners = store.listeners().await?;
            is_emptied_in_use =
                listeners.is_some_and(|count| count > 0) && store.note(NOTE).await?.is_none();
            may_be_new = known.is_none() && listeners == Some(0);
        }
        Ok(Self {
            text,
            noted,
            seals,
            history,
            is_emptied_in_use,
            may_be_new,
        })
    }

    /// Reads everything. What may be a new store is read again once other gateways had the
    /// time to show that it is none.
    ///
    /// SUBTLE: Redis without persistence restarts while gateway A runs and B starts. (1) The
    /// connections of A break, (2) B connects and finds neither a note nor a listener, (3) A
    /// listens again, after [`LISTEN_AGAIN_AFTER`]. Without the wait B takes the store for a
    /// new one between (2) and (3), and buys again what A bought.
    pub(super) async fn read_settled(
        store: &dyn Store,
        known: Option<&KnownEpoch>,
    ) -> Result<Self, StoreError> {
        let observation = Self::read(store, known).await?;
        if !observation.may_be_new {
            return Ok(observation);
        }
        let until = Instant::now() + NEW_AFTER;
        while Instant::now() < until {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            if store.listeners().await? != Some(0) || store.note(NOTE).await?.is_some() {
                break;
            }
        }
        Self::read(store, known).await
    }

    pub(super) fn is_sealed_with(&self, id: &str) -> bool {
        self.seals.iter().all(|seal| seal.as_deref() == Some(id))
    }

    /// Returns true when the history is another one than the note's, or a part was emptied.
    pub(super) fn shows_loss_since(&self, noted: &EpochNote) -> bool {
        let is_torn = || {
            !noted
                .id
                .as_deref()
                .is_some_and(|id| self.is_sealed_with(id))
        };
        noted.history != self.history || noted.is_sealed && is_torn()
    }

    /// Returns what is known of a loss now, and the id to keep.
    fn assess_loss(
        &self,
        known: Option<&KnownEpoch>,
        now: Timestamp,
    ) -> (LossStatus, Option<String>) {
        let known = known.map(|known| &known.note);
        let Some(noted) = &self.noted else {
            let is_loss = known.is_some() || self.is_emptied_in_use;
            let loss = if is_loss {
                LossStatus::Since(now)
            } else {
                LossStatus::NoneKnown
            };
            return (loss, None);
        };
        if self.shows_loss_since(noted) {
            return (LossStatus::Since(now), None);
        }
        let is_forgotten = known.is_some_and(|known| known.id.is_some() && known.id != noted.id);
        let is_other = known.is_some_and(|known| known.history != self.history);
        match noted.loss {
            LossStatus::NoneKnown if is_forgotten || is_other => (LossStatus::Since(now), None),
            // The operator who ended the guard may have seen only the new note.
            LossStatus::Cleared if is_forgotten => (LossStatus::Since(now), None),
            // Noticed after the note got this id, hence after the one we remember was lost.
            loss => (loss, noted.id.clone()),
        }
    }

    /// Stores a note in the place of the one found; `false` when that is gone.
    pub(super) async fn replace(
        &self,
        store: &dyn Store,
        note: &EpochNote,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let to = serde_json::to_string(note).map_err(|error| unreadable(&error))?;
        let put = store
            .put_note(NOTE, self.text.as_deref(), &to, keep(now))
            .await?;
        Ok(put == Put::Done)
    }
}

/// What is known of the history now. It is a loss when the store names another one
/// than its note, or than `known`, which the caller had seen before; when the note
/// itself is gone, or has another id than `known`; or when a part of the store lost its
/// seal. `random` makes the ids.
///
/// # Errors
/// [`StoreError`] when that cannot be found out.
pub async fn observe(
    store: &dyn Store,
    known: Option<&KnownEpoch>,
    now: Timestamp,
    random: impl Fn() -> Uuid,
) -> Result<KnownEpoch, StoreError> {
    loop {
        let observation = Observation::read_settled(store, known).await?;
        let (loss, id) = observation.assess_loss(known, now);
        let id = id.unwrap_or_else(|| random().to_string());
        let note = EpochNote {
            history: observation.history.clone(),
            loss,
            is_sealed: observation.is_sealed_with(&id),
            id: Some(id.clone()),
        };
        let is_noted = observation.noted.as_ref() == Some(&note);
        if !is_noted && !observation.replace(store, &note, now).await? {
            continue;
        }
        if note.is_sealed {
            return Ok(KnownEpoch::new(note));
        }
        store.seal(&observation.seals, &id, keep(now)).await?;
    }
}

fn keep(now: Timestamp) -> Keep {
    Keep {
        now,
        until: now.checked_add(NOTE_KEPT).unwrap_or(Timestamp::MAX),
    }
}
