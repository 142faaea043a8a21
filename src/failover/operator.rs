//! An operator's decisions to turn the failover guard on or off.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    known_epoch::{EpochNote, KnownEpoch, LossStatus, unreadable},
    observation::{Observation, observe},
};
use crate::store::{BoundedList, Store, StoreError, epoch::LostPartitions};

/// Turns the guard on unconditionally: an operator knows that records are lost. From then on the
/// store rejects the claims of gateways that have not observed it yet.
///
/// # Errors
/// [`StoreError`] when the note cannot be stored.
pub async fn start(
    store: &dyn Store,
    now: Timestamp,
    random: impl Fn() -> Uuid,
) -> Result<KnownEpoch, StoreError> {
    loop {
        let observation = Observation::read(store, None).await?;
        let note = EpochNote {
            epoch: observation.epoch.name.clone(),
            loss: LossStatus::Since(now),
            id: Some(random().to_string()),
            is_sealed: false,
            partitions: BTreeMap::new(),
            former_ids: Vec::new(),
        };
        if observation.replace(store, &note, now).await? {
            return observe(store, None, now, random).await;
        }
    }
}

/// Turns the guard off: an operator knows that no record is lost, and gives the reason. Fails after
/// a loss that no gateway has noticed: the operator cannot have known of it.
///
/// # Errors
/// [`StoreError`] when the note cannot be stored, and after a loss that no gateway has noticed.
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
    // Stored first, so that every end has its reason.
    let item = serde_json::to_string(&ending).map_err(|error| unreadable(&error))?;
    store.push(BoundedList::GuardEndings, &item).await?;
    loop {
        let observation = Observation::read_settled(store, None).await?;
        let noted = observation.noted.as_ref();
        if observation.is_emptied_in_use
            || noted.is_some_and(|noted| observation.lost_since(noted) != LostPartitions::None)
        {
            return Err(StoreError::Unsuitable(
                "the store may have lost records, and no gateway has noticed yet: run guard start, \
                 review the quarantined transactions, then run guard end"
                    .to_owned(),
            ));
        }
        // The id stays: gateways that remember it would take another one for a loss.
        let id = observation
            .noted
            .as_ref()
            .and_then(|noted| noted.id.clone());
        let note = EpochNote {
            epoch: observation.epoch.name.clone(),
            loss: LossStatus::Cleared,
            partitions: BTreeMap::new(),
            former_ids: Vec::new(),
            is_sealed: id
                .as_deref()
                .is_some_and(|id| observation.is_sealed_with(id)),
            id: Some(id.unwrap_or_else(|| random().to_string())),
        };
        if observation.replace(store, &note, now).await? {
            return observe(store, None, now, random).await;
        }
    }
}

/// An operator's decision to end the guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The time of the decision.
    pub at: Timestamp,
    /// The reason why no record is lost.
    pub reason: String,
}

/// Parses an item of [`BoundedList::GuardEndings`].
///
/// # Errors
/// [`StoreError::Corrupt`] when the item is malformed.
pub fn parse_ending(item: &str) -> Result<Ending, StoreError> {
    serde_json::from_str(item).map_err(|error| unreadable(&error))
}
