//! Observation of a store's replication epoch, and the operator's changes of the guard.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::known_epoch::{KnownEpoch, Loss, NOTE, Note, parse, unreadable};
use crate::store::{
    BoundedList, CasResult, Expiry, LISTEN_AGAIN_AFTER, Store, StoreError, epoch::Seals,
};

/// How long a store without a note must stay without another gateway before it is new: longer
/// than one that runs takes to connect again.
const NEW_AFTER: Duration = LISTEN_AGAIN_AFTER.saturating_add(Duration::from_millis(400));
/// The pause between two looks for another gateway.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Longer than any store.
const NOTE_KEPT: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// What is found of the note and the seals.
struct Found {
    text: Option<String>,
    noted: Option<Note>,
    seals: Seals,
    history: String,
    /// There is no note, and other gateways are connected that must have had one.
    is_emptied_in_use: bool,
    /// There is no note, and no other gateway is connected, but one may be soon.
    may_be_new: bool,
}

impl Found {
    /// Reads everything, and writes nothing. `known` is what the caller had seen before.
    async fn read(store: &dyn Store, known: Option<&KnownEpoch>) -> Result<Self, StoreError> {
        // SUBTLE: the note before the seals. (1) We read the note with id X, (2) another
        // gateway gives the note the id Y and seals with Y, (3) we read the seals and miss
        // X. The note has changed by then, so what we conclude is not stored.
        let text = store.note(NOTE).await?;
        let noted = text.as_deref().map(parse).transpose()?;
        let seals = store.seals().await?;
        let seen = noted.as_ref().or(known.map(|known| &known.note));
        let history = store.epoch(seen.map(|seen| seen.history.as_str())).await?;
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
    async fn read_settled(
        store: &dyn Store,
        known: Option<&KnownEpoch>,
    ) -> Result<Self, StoreError> {
        let found = Self::read(store, known).await?;
        if !found.may_be_new {
            return Ok(found);
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

    fn bears(&self, id: &str) -> bool {
        self.seals.iter().all(|seal| seal.as_deref() == Some(id))
    }

    /// Returns true when the history is another one than the note's, or a part was emptied.
    fn is_lost_since(&self, noted: &Note) -> bool {
        let is_torn = || !noted.id.as_deref().is_some_and(|id| self.bears(id));
        noted.history != self.history || noted.is_sealed && is_torn()
    }

    /// Returns what is known of a loss now, and the id to keep.
    fn judge(&self, known: Option<&KnownEpoch>, now: Timestamp) -> (Loss, Option<String>) {
        let known = known.map(|known| &known.note);
        let Some(noted) = &self.noted else {
            let is_loss = known.is_some() || self.is_emptied_in_use;
            let loss = if is_loss {
                Loss::Since(now)
            } else {
                Loss::NoneKnown
            };
            return (loss, None);
        };
        if self.is_lost_since(noted) {
            return (Loss::Since(now), None);
        }
        let is_forgotten = known.is_some_and(|known| known.id.is_some() && known.id != noted.id);
        let is_other = known.is_some_and(|known| known.history != self.history);
        match noted.loss {
            Loss::NoneKnown if is_forgotten || is_other => (Loss::Since(now), None),
            // The operator who ended the guard may have seen only the new note.
            Loss::Cleared if is_forgotten => (Loss::Since(now), None),
            // Noticed after the note got this id, hence after the one we remember was lost.
            loss => (loss, noted.id.clone()),
        }
    }

    /// Stores a note in the place of the one found; `false` when that is gone.
    async fn replace(
        &self,
        store: &dyn Store,
        note: &Note,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let to = serde_json::to_string(note).map_err(|error| unreadable(&error))?;
        let put = store
            .put_note(NOTE, self.text.as_deref(), &to, keep(now))
            .await?;
        Ok(put == CasResult::Done)
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
        let found = Found::read_settled(store, known).await?;
        let (loss, id) = found.judge(known, now);
        let id = id.unwrap_or_else(|| random().to_string());
        let note = Note {
            history: found.history.clone(),
            loss,
            is_sealed: found.bears(&id),
            id: Some(id.clone()),
        };
        let is_noted = found.noted.as_ref() == Some(&note);
        if !is_noted && !found.replace(store, &note, now).await? {
            continue;
        }
        if note.is_sealed {
            return Ok(KnownEpoch::new(note));
        }
        store.seal(&found.seals, &id, keep(now)).await?;
    }
}

/// Turns the guard on, whatever is noted: an operator knows that something is lost.
/// Claims of gateways that do not know it yet are refused from then on.
///
/// # Errors
/// [`StoreError`] when that may not be stored.
pub async fn start(
    store: &dyn Store,
    now: Timestamp,
    random: impl Fn() -> Uuid,
) -> Result<KnownEpoch, StoreError> {
    loop {
        let found = Found::read(store, None).await?;
        let note = Note {
            history: found.history.clone(),
            loss: Loss::Since(now),
            id: Some(random().to_string()),
            is_sealed: false,
        };
        if found.replace(store, &note, now).await? {
            return observe(store, None, now, random).await;
        }
    }
}

/// Turns the guard off: an operator knows that nothing is lost, and says why. A loss that nobody
/// has noticed is not what the operator knows of.
///
/// # Errors
/// [`StoreError`] when that may not be stored, and after a loss that nobody has noticed.
pub async fn end(
    store: &dyn Store,
    reason: &str,
    now: Timestamp,
    random: impl Fn() -> Uuid,
) -> Result<KnownEpoch, StoreError> {
    let ending = Ending {
        at: now,
        reason: reason.to_owned(),
    };
    // First, so that no end lacks its reason.
    let item = serde_json::to_string(&ending).map_err(|error| unreadable(&error))?;
    store.push(BoundedList::GuardEndings, &item).await?;
    loop {
        let found = Found::read_settled(store, None).await?;
        let noted = found.noted.as_ref();
        if found.is_emptied_in_use || noted.is_some_and(|noted| found.is_lost_since(noted)) {
            return Err(StoreError::Unsuitable(
                "it may have lost something that no gateway has noticed yet: run guard start, \
                 look at what is held back, then end the guard"
                    .to_owned(),
            ));
        }
        // The id stays: another one would be a loss to those that remember this one.
        let id = found.noted.as_ref().and_then(|noted| noted.id.clone());
        let note = Note {
            history: found.history.clone(),
            loss: Loss::Cleared,
            is_sealed: id.as_deref().is_some_and(|id| found.bears(id)),
            id: Some(id.unwrap_or_else(|| random().to_string())),
        };
        if found.replace(store, &note, now).await? {
            return observe(store, None, now, random).await;
        }
    }
}

/// An operator's decision to end the guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// When it was made.
    pub at: Timestamp,
    /// Why nothing is lost.
    pub reason: String,
}

/// Reads an item of [`BoundedList::GuardEndings`].
///
/// # Errors
/// [`StoreError::Corrupt`] when it is none.
pub fn ending(item: &str) -> Result<Ending, StoreError> {
    serde_json::from_str(item).map_err(|error| unreadable(&error))
}

/// What a look at a store shows, which writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// No gateway has used the store.
    Unused,
    /// Something may be lost, and no gateway has noticed it yet.
    Unnoticed,
    /// What is noted.
    Noted(KnownEpoch),
}

/// Looks at a store without writing anything to it.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub async fn show(store: &dyn Store) -> Result<Shown, StoreError> {
    Ok(Found::read(store, None).await?.shown())
}

impl Found {
    fn shown(self) -> Shown {
        match self.noted.clone() {
            None if self.is_emptied_in_use => Shown::Unnoticed,
            None => Shown::Unused,
            Some(noted) if self.is_lost_since(&noted) => Shown::Unnoticed,
            Some(noted) => Shown::Noted(KnownEpoch::new(noted)),
        }
    }
}

fn keep(now: Timestamp) -> Expiry {
    Expiry {
        now,
        until: now.checked_add(NOTE_KEPT).unwrap_or(Timestamp::MAX),
    }
}
