//! Observation of a store's replication epoch: its note, its seals, and a possible loss of records.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

use super::known_epoch::{EpochNote, KnownEpoch, LossStatus, NOTE, parse, unreadable};
use crate::store::{
    CasResult, Expiry, LISTEN_AGAIN_AFTER, Store, StoreError,
    epoch::{EpochReading, LostPartitions, Seal, Seals, refuse_moved},
};

/// The time for which a store without a note must stay without another gateway before it counts as
/// new: longer than a running gateway takes to reconnect.
const NEW_AFTER: Duration = LISTEN_AGAIN_AFTER.saturating_add(Duration::from_millis(400));
/// The pause between two polls for another gateway.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The time for which the note is kept: longer than any store.
const NOTE_KEPT: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// The note and the seals of a store, as read at one moment.
pub(super) struct Observation {
    /// The text of the note.
    pub(super) text: Option<String>,
    /// The parsed note.
    pub(super) noted: Option<EpochNote>,
    /// The seals of the parts of the store.
    pub(super) seals: Seals,
    /// The epoch that the store names.
    pub(super) epoch: EpochReading,
    /// No note exists, although other gateways are connected, which must have had one.
    pub(super) is_emptied_in_use: bool,
    /// No note exists, and no other gateway is connected yet.
    pub(super) may_be_new: bool,
}

impl Observation {
    /// Reads the note and the seals without writing. `known` is the epoch that the caller last saw.
    pub(super) async fn read(
        store: &dyn Store,
        known: Option<&KnownEpoch>,
    ) -> Result<Self, StoreError> {
        // SUBTLE: the note is read before the seals:
        // 1. we read the note with id X;
        // 2. another gateway gives the note the id Y, and seals with Y;
        // 3. we read the seals, and miss X.
        // The note has changed by then, so the compare-and-set of our conclusion fails.
        let text = store.note(NOTE).await?;
        let noted = text.as_deref().map(parse).transpose()?;
        let seals = store.seals().await?;
        refuse_moved(&seals)?;
        let seen = noted.as_ref().or(known.map(|known| &known.note));
        let epoch = store.epoch(seen.map(|seen| seen.epoch.as_str())).await?;
        // SUBTLE: a gateway subscribes only after its first observation wrote the note:
        // 1. two gateways start on a new store, and one reads no note;
        // 2. the other writes the note, and then subscribes;
        // 3. the first finds a subscriber.
        // So the first reads the note again: subscribers without a note prove an emptied store.
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
            epoch,
            is_emptied_in_use,
            may_be_new,
        })
    }

    /// Reads the note and the seals. Reads a store that may be new a second time, once other
    /// gateways have had the time to reconnect.
    ///
    /// SUBTLE: Redis without persistence restarts while gateway A runs and B starts:
    /// 1. the connections of A break;
    /// 2. B connects, and finds neither a note nor a subscriber;
    /// 3. A subscribes again, after [`LISTEN_AGAIN_AFTER`].
    ///
    /// Without the wait, B takes the store for a new one between 2 and 3, and buys again what A
    /// bought.
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

    /// Returns true when every part of the store that answers carries this seal.
    pub(super) fn is_sealed_with(&self, id: &str) -> bool {
        let is_sealed = |seal: &Seal| match seal {
            Seal::Carried(seal) => seal == id,
            Seal::Missing => false,
            Seal::Unknown => true,
        };
        self.seals.iter().all(is_sealed)
    }

    /// Returns the partitions whose epoch differs from the note's, or that were emptied.
    pub(super) fn lost_since(&self, noted: &EpochNote) -> LostPartitions {
        let lost = self.epoch.lost_since(&noted.epoch);
        if !noted.is_sealed {
            return self.epoch.widen(lost);
        }
        let Some(id) = noted.id.as_deref() else {
            return LostPartitions::All;
        };
        let is_torn = |seal: &Seal| match seal {
            Seal::Carried(seal) => seal != id,
            Seal::Missing => true,
            Seal::Unknown => false,
        };
        let torn = (0..).zip(&self.seals).filter(|(_, seal)| is_torn(seal));
        let count = self.seals.len();
        let torn = LostPartitions::of(torn.map(|(partition, _)| partition).collect(), count);
        self.epoch.widen(lost.and(torn, count))
    }

    /// Returns the loss that this observation proves: the partitions and the loss to note. The note
    /// keeps its id only without a new loss.
    ///
    /// The epoch of `known` is not compared: a note with the same id was changed since by gateways that
    /// each found no loss, such as after a slot moved. A loss changes the id.
    fn assess_loss(&self, known: Option<&KnownEpoch>, now: Timestamp) -> Assessment {
        let Some(noted) = &self.noted else {
            let is_loss = known.is_some() || self.is_emptied_in_use;
            return if is_loss {
                Assessment::lost(now, BTreeMap::new())
            } else {
                Assessment {
                    loss: LossStatus::NoneKnown,
                    partitions: BTreeMap::new(),
                    id: None,
                }
            };
        };
        if known.is_some_and(|known| !noted.follows(known.note.id.as_deref())) {
            return Assessment::lost(now, BTreeMap::new());
        }
        let lost = self.lost_since(noted);
        if lost != LostPartitions::None {
            let partitions = noted.partitions_after(&lost, self.seals.len(), now);
            return Assessment::lost(now, partitions);
        }
        Assessment {
            loss: noted.loss,
            partitions: noted.partitions.clone(),
            id: noted.id.clone(),
        }
    }

    /// Returns the former ids of the note after this observation; `id` is the one that it keeps.
    fn former_ids(&self, id: Option<&str>) -> Vec<String> {
        match (&self.noted, id) {
            (Some(noted), Some(_)) => noted.former_ids.clone(),
            (Some(noted), None) => noted.former_ids_after(),
            (None, _) => Vec::new(),
        }
    }

    /// Replaces the observed note by compare-and-set; returns false when it has changed since.
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
        Ok(put == CasResult::Done)
    }
}

/// The loss to note after an observation.
struct Assessment {
    loss: LossStatus,
    /// The partitions that the loss is limited to; empty for the whole store.
    partitions: BTreeMap<usize, Timestamp>,
    /// The id to keep; `None` after a new loss.
    id: Option<String>,
}

impl Assessment {
    fn lost(now: Timestamp, partitions: BTreeMap<usize, Timestamp>) -> Self {
        Self {
            loss: LossStatus::Since(now),
            partitions,
            id: None,
        }
    }
}

/// Observes the replication epoch of a store, and stores what it concludes. `known` is the epoch
/// that the caller last saw; `random` makes the ids.
///
/// It is a loss when
/// - the store's epoch differs from the epoch of its note in some partitions: the guard is on for
///   those;
/// - the note is gone, or does not follow the one of `known`: the guard is on for the whole store;
/// - a partition has lost its seal: the guard is on for it.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or written, and when it needs other seals after a
/// loss while a part of it does not answer: the seal of that part could not be replaced.
pub async fn observe(
    store: &dyn Store,
    known: Option<&KnownEpoch>,
    now: Timestamp,
    random: impl Fn() -> Uuid,
) -> Result<KnownEpoch, StoreError> {
    loop {
        let observation = Observation::read_settled(store, known).await?;
        let assessment = observation.assess_loss(known, now);
        if assessment.id.is_none() && observation.seals.contains(&Seal::Unknown) {
            return Err(StoreError::Unavailable(
                "the store may have lost records, and a part of it does not answer".to_owned(),
            ));
        }
        let former_ids = observation.former_ids(assessment.id.as_deref());
        let id = assessment.id.unwrap_or_else(|| random().to_string());
        let note = EpochNote {
            epoch: observation.epoch.name.clone(),
            loss: assessment.loss,
            is_sealed: observation.is_sealed_with(&id),
            id: Some(id.clone()),
            partitions: assessment.partitions,
            former_ids,
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

/// Returns the expiry of the note.
pub(super) fn keep(now: Timestamp) -> Expiry {
    Expiry {
        now,
        until: now.checked_add(NOTE_KEPT).unwrap_or(Timestamp::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The store is emptied, and a gateway starts and writes a new note. Then a server restarts, and
    /// its partitions are noted as lost. Then a gateway that knew the former note comes back.
    #[test]
    fn loss_of_some_partitions_does_not_hide_one_of_the_whole_store() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let note = |id: &str, loss, partitions: &[usize], former: &[&str]| EpochNote {
            epoch: "a,b/0.1".to_owned(),
            loss,
            id: Some(id.to_owned()),
            is_sealed: false,
            partitions: partitions.iter().map(|one| (*one, at(0))).collect(),
            former_ids: former.iter().map(ToString::to_string).collect(),
        };
        let known = KnownEpoch::new(note("1", LossStatus::NoneKnown, &[], &[]));
        let assess = |noted: EpochNote, name: &str| {
            let observation = Observation {
                text: None,
                noted: Some(noted),
                seals: vec![Seal::Unknown, Seal::Unknown],
                epoch: name.to_owned().into(),
                is_emptied_in_use: false,
                may_be_new: false,
            };
            let assessment = observation.assess_loss(Some(&known), at(9));
            (assessment.loss, assessment.partitions, assessment.id)
        };
        let whole = (LossStatus::Since(at(9)), BTreeMap::new(), None);
        let some = LossStatus::Since(at(0));
        assert_eq!(assess(note("3", some, &[1], &["2"]), "a,b/0.1"), whole);
        // Noticed in the same observation.
        let new = note("2", LossStatus::NoneKnown, &[], &[]);
        assert_eq!(assess(new, "a,c/0.1"), whole);
        let kept = (some, [(1, at(0))].into(), Some("2".to_owned()));
        assert_eq!(assess(note("2", some, &[1], &["1"]), "a,b/0.1"), kept);
    }
}
