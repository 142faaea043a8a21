//! The replication epoch of a store as a gateway knows it, and the note that stores it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::store::{
    StoreError,
    epoch::{LostPartitions, seal_name},
};

/// The name of the note in the store.
pub(crate) const NOTE: &str = "guard";

/// The settings of the failover guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardSettings {
    /// The time for which the guard stays on after a possible loss; zero disables the guard.
    pub lasts: SignedDuration,
    /// The greatest difference between the clocks of callers and gateways.
    pub clock_skew: SignedDuration,
}

/// The replication epoch of a store, and a possible loss of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEpoch {
    /// The note.
    pub(super) note: EpochNote,
    /// The name of the epoch and the id of the note, as a claim gives them.
    name: String,
}

/// The stored note. An earlier release reads and writes only the first two fields. Its note has no
/// id, which a gateway that remembers one takes for a loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EpochNote {
    /// The epoch in which the note was stored.
    #[serde(rename = "history")]
    pub(super) epoch: String,
    /// The loss of records that is known.
    pub(super) loss: LossStatus,
    /// The random id, which every gateway remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Every part of the store carried the id as its seal.
    #[serde(default)]
    pub(super) is_sealed: bool,
    /// The partitions that the loss is limited to, each with the time at which a gateway noticed;
    /// empty when the whole store may have lost records. `loss` holds the latest of these times, so
    /// that an earlier release quarantines more than it must.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) partitions: BTreeMap<usize, Timestamp>,
    /// The ids of earlier notes, since which `partitions` holds every loss; the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) former_ids: Vec<String>,
}

/// The greatest number of former ids in a note.
const FORMER_IDS_MAX: usize = 8;

impl EpochNote {
    /// Returns true when the note holds every loss since a note with this id.
    pub(super) fn follows(&self, id: Option<&str>) -> bool {
        if self.id.as_deref() == id {
            return true;
        }
        match self.loss {
            // The operator who ended the guard may have known only of this note.
            LossStatus::NoneKnown | LossStatus::Cleared => false,
            // The loss was noticed after the note got its id, so after every other loss.
            LossStatus::Since(_) if self.partitions.is_empty() => true,
            LossStatus::Since(_) => self.former_ids.iter().any(|former| Some(&**former) == id),
        }
    }

    /// Returns the former ids of a note that follows this one after a loss.
    pub(super) fn former_ids_after(&self) -> Vec<String> {
        let earlier = match self.loss {
            LossStatus::Since(_) => self.former_ids.as_slice(),
            LossStatus::NoneKnown | LossStatus::Cleared => &[],
        };
        let former = self.id.iter().chain(earlier).take(FORMER_IDS_MAX);
        former.cloned().collect()
    }

    /// Returns the time since which a partition may have lost records, or any partition for `None`.
    fn lost_since(&self, partition: Option<usize>) -> Option<Timestamp> {
        let LossStatus::Since(since) = self.loss else {
            return None;
        };
        match partition {
            Some(partition) if !self.partitions.is_empty() => {
                self.partitions.get(&partition).copied()
            }
            _ => Some(since),
        }
    }

    /// Returns the partitions of a loss that is noticed `now`, after the losses in this note. `count`
    /// is the number of partitions.
    pub(super) fn partitions_after(
        &self,
        lost: &LostPartitions,
        count: usize,
        now: Timestamp,
    ) -> BTreeMap<usize, Timestamp> {
        let LostPartitions::Some(lost) = lost else {
            return BTreeMap::new();
        };
        let earlier = |partition: usize| Some((partition, self.lost_since(Some(partition))?));
        let mut partitions: BTreeMap<usize, Timestamp> = (0..count).filter_map(earlier).collect();
        partitions.extend(lost.iter().map(|partition| (*partition, now)));
        partitions
    }
}

/// The loss of records that the note reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LossStatus {
    /// No loss is known: the store was never observed in another epoch.
    NoneKnown,
    /// Records may be lost; holds the time at which a gateway noticed.
    Since(Timestamp),
    /// An operator ended the guard: no record is lost.
    Cleared,
}

impl KnownEpoch {
    /// Builds the epoch that a note describes.
    pub(super) fn new(note: EpochNote) -> Self {
        let id = note.id.as_deref().unwrap_or_default();
        let name = format!("{} {id}", note.epoch);
        Self { note, name }
    }

    /// Returns the name of the epoch and the seal, as a claim gives them; [`crate::store::epoch::parts_of`]
    /// splits them.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the seal alone.
    #[must_use]
    pub fn seal_name(&self) -> String {
        seal_name(self.note.id.as_deref().unwrap_or_default())
    }

    /// Returns the start and the end of the guard's time, if it is on now for any partition.
    #[must_use]
    pub fn on(&self, settings: &GuardSettings, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        self.on_for(None, settings, now)
    }

    fn on_for(
        &self,
        partition: Option<usize>,
        settings: &GuardSettings,
        now: Timestamp,
    ) -> Option<(Timestamp, Timestamp)> {
        let since = self.note.lost_since(partition)?;
        let until = since.checked_add(settings.lasts).unwrap_or(Timestamp::MAX);
        (now < until).then_some((since, until))
    }

    /// Returns true when an attempt must not be sent now. `unsent_at` is a time at which its
    /// reference code provably had not been sent, by any clock. `partition` is that of all records
    /// that the decision rests on; `None` when they lie in several.
    #[must_use]
    pub fn quarantines(
        &self,
        unsent_at: Option<Timestamp>,
        partition: Option<usize>,
        settings: &GuardSettings,
        now: Timestamp,
    ) -> bool {
        let Some((since, _)) = self.on_for(partition, settings, now) else {
            return false;
        };
        // A time in the future comes from a clock that cannot be trusted.
        let is_later = unsent_at.is_some_and(|at| {
            at.duration_since(since) > settings.clock_skew
                && at.duration_since(now) <= settings.clock_skew
        });
        !is_later
    }
}

/// Parses the note.
pub(super) fn parse(text: &str) -> Result<EpochNote, StoreError> {
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

/// Builds the error for an unreadable note.
pub(super) fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt {
        key: NOTE.to_owned(),
        problem: format!("it cannot be read (column {})", error.column()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: GuardSettings = GuardSettings {
        lasts: SignedDuration::from_hours(24),
        clock_skew: SignedDuration::from_mins(1),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn epoch(since: Option<i64>) -> KnownEpoch {
        KnownEpoch::new(EpochNote {
            epoch: "h".to_owned(),
            loss: since.map_or(LossStatus::NoneKnown, |since| LossStatus::Since(at(since))),
            id: Some("1".to_owned()),
            is_sealed: true,
            partitions: BTreeMap::new(),
            former_ids: Vec::new(),
        })
    }

    /// A gateway that remembers an id must not take a loss of some partitions for all that happened
    /// since.
    #[test]
    fn note_follows_only_ids_whose_losses_it_holds() {
        let with_id = |note: &EpochNote, id: &str, loss, partitions| EpochNote {
            id: Some(id.to_owned()),
            former_ids: note.former_ids_after(),
            loss,
            partitions,
            ..note.clone()
        };
        let some = |partition, seconds| BTreeMap::from([(partition, at(seconds))]);
        let first = epoch(None).note;
        assert!(first.follows(Some("1")) && !first.follows(Some("0")) && !first.follows(None));
        let second = with_id(&first, "2", LossStatus::Since(at(0)), some(1, 0));
        let third = with_id(&second, "3", LossStatus::Since(at(5)), some(2, 5));
        for id in ["1", "2", "3"] {
            assert!(third.follows(Some(id)), "{id}");
        }
        // The note of a store that was emptied in between knows no earlier id.
        assert!(!third.follows(Some("0")) && !second.follows(Some("0")));
        let whole = with_id(&second, "3", LossStatus::Since(at(5)), BTreeMap::new());
        assert!(whole.follows(Some("0")));
        // The operator who ended the guard knew of the losses before.
        let cleared = EpochNote {
            loss: LossStatus::Cleared,
            partitions: BTreeMap::new(),
            ..third
        };
        assert!(cleared.follows(Some("3")) && !cleared.follows(Some("2")));
        let after = with_id(&cleared, "4", LossStatus::Since(at(9)), some(3, 9));
        assert!(after.follows(Some("3")) && !after.follows(Some("2")));
        let mut many = after;
        for number in 5..20 {
            many = with_id(
                &many,
                &number.to_string(),
                LossStatus::Since(at(9)),
                some(3, 9),
            );
        }
        assert_eq!(many.former_ids.len(), FORMER_IDS_MAX);
        assert!(many.follows(Some("18")) && !many.follows(Some("4")));
    }

    #[test]
    fn loss_of_some_partitions_quarantines_only_theirs() {
        let (lost, nothing) = (LostPartitions::Some([1].into()), LostPartitions::None);
        let before = epoch(None).note;
        let partitions = before.partitions_after(&lost, 3, at(0));
        let noted = EpochNote {
            loss: LossStatus::Since(at(0)),
            partitions,
            ..before
        };
        let is_quarantined = |noted: &EpochNote, partition, now| {
            KnownEpoch::new(noted.clone()).quarantines(None, partition, &SETTINGS, at(now))
        };
        assert!(is_quarantined(&noted, Some(1), 10) && is_quarantined(&noted, None, 10));
        assert!(!is_quarantined(&noted, Some(0), 10) && !is_quarantined(&noted, Some(2), 10));
        // A later loss of another partition does not extend that of the first.
        let day = 24 * 3600;
        let later = EpochNote {
            loss: LossStatus::Since(at(day / 2)),
            partitions: noted.partitions_after(&LostPartitions::Some([2].into()), 3, at(day / 2)),
            ..noted.clone()
        };
        assert!(is_quarantined(&later, Some(1), day - 1) && !is_quarantined(&later, Some(1), day));
        assert!(is_quarantined(&later, Some(2), day) && !is_quarantined(&later, Some(0), 10));
        // After a loss of the whole store, that of a partition renews its own.
        let whole = epoch(Some(0)).note;
        assert!(whole.partitions_after(&nothing, 3, at(0)).is_empty());
        let both = EpochNote {
            loss: LossStatus::Since(at(day / 2)),
            partitions: whole.partitions_after(&LostPartitions::Some([2].into()), 3, at(day / 2)),
            ..whole
        };
        assert!(is_quarantined(&both, Some(0), day - 1) && !is_quarantined(&both, Some(0), day));
        assert!(is_quarantined(&both, Some(2), day));
        // An earlier release reads the latest loss, of the whole store.
        let text = serde_json::to_string(&both).unwrap();
        let read: Earlier = serde_json::from_str(&text).unwrap();
        assert_eq!(read.loss, LossStatus::Since(at(day / 2)));
    }

    #[test]
    fn guard_quarantines_only_while_it_lasts() {
        let day = 24 * 3600;
        let is_quarantined =
            |since, now| epoch(since).quarantines(None, Some(0), &SETTINGS, at(now));
        assert!(!is_quarantined(None, 0));
        assert!(is_quarantined(Some(0), 0) && is_quarantined(Some(0), day - 1));
        assert!(!is_quarantined(Some(0), day));
        let never = GuardSettings {
            lasts: SignedDuration::ZERO,
            ..SETTINGS
        };
        assert!(!epoch(Some(0)).quarantines(None, None, &never, at(0)));
    }

    #[test]
    fn attempt_is_sent_only_if_provably_later_than_loss() {
        let is_quarantined =
            |unsent, now| epoch(Some(0)).quarantines(Some(at(unsent)), None, &SETTINGS, at(now));
        assert!(is_quarantined(-1, 1000) && is_quarantined(0, 1000));
        assert!(
            is_quarantined(60, 1000),
            "the caller's clock may be a minute ahead"
        );
        assert!(!is_quarantined(61, 1000));
        assert!(!is_quarantined(1060, 1000));
        assert!(
            is_quarantined(1061, 1000),
            "the caller's clock is further ahead than that"
        );
    }

    /// The note of the release that had no id.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Earlier {
        history: String,
        loss: LossStatus,
    }

    #[test]
    fn note_is_readable_by_the_earlier_release_and_vice_versa() {
        let earlier = Earlier {
            history: "h".to_owned(),
            loss: LossStatus::Since(at(0)),
        };
        let ours = serde_json::to_string(&epoch(Some(0)).note).unwrap();
        assert_eq!(serde_json::from_str::<Earlier>(&ours).unwrap(), earlier);
        let theirs = serde_json::to_string(&earlier).unwrap();
        let read = parse(&theirs).unwrap();
        assert_eq!((read.id, read.is_sealed), (None, false));
        assert_eq!((read.epoch.as_str(), read.loss), ("h", earlier.loss));
    }
}
