//! The replication epoch of a store as a gateway knows it, and the note that stores it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::store::StoreError;

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

    /// Returns the start and the end of the guard's time, if it is on now.
    #[must_use]
    pub fn on(&self, settings: &GuardSettings, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let LossStatus::Since(since) = self.note.loss else {
            return None;
        };
        let until = since.checked_add(settings.lasts).unwrap_or(Timestamp::MAX);
        (now < until).then_some((since, until))
    }

    /// Returns true when an attempt must not be sent now. `unsent_at` is a time at which its
    /// reference code provably had not been sent, by any clock.
    #[must_use]
    pub fn quarantines(
        &self,
        unsent_at: Option<Timestamp>,
        settings: &GuardSettings,
        now: Timestamp,
    ) -> bool {
        let Some((since, _)) = self.on(settings, now) else {
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
        })
    }

    #[test]
    fn guard_quarantines_only_while_it_lasts() {
        let day = 24 * 3600;
        let is_quarantined = |since, now| epoch(since).quarantines(None, &SETTINGS, at(now));
        assert!(!is_quarantined(None, 0));
        assert!(is_quarantined(Some(0), 0) && is_quarantined(Some(0), day - 1));
        assert!(!is_quarantined(Some(0), day));
        let never = GuardSettings {
            lasts: SignedDuration::ZERO,
            ..SETTINGS
        };
        assert!(!epoch(Some(0)).quarantines(None, &never, at(0)));
    }

    #[test]
    fn attempt_is_sent_only_if_provably_later_than_loss() {
        let is_quarantined =
            |unsent, now| epoch(Some(0)).quarantines(Some(at(unsent)), &SETTINGS, at(now));
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
