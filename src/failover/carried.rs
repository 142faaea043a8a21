//! The state of the guard that a copied store takes over from its source.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    known_epoch::{EpochNote, KnownEpoch, LossStatus, NOTE, parse},
    observation::{Observation, keep, observe},
};
use crate::store::{Store, StoreError, epoch::Seal};

/// Turns the guard of the target on if that of the source is. `from` must have been observed before
/// its seals were replaced, so that its note holds every loss. Idempotent.
///
/// # Errors
/// [`StoreError`] when a note cannot be read or written.
pub async fn carry(
    from: &dyn Store,
    to: &dyn Store,
    now: Timestamp,
    random: impl Fn() -> Uuid,
) -> Result<KnownEpoch, StoreError> {
    let noted = from.note(NOTE).await?;
    let noted = noted.as_deref().map(parse).transpose()?;
    let loss = noted
        .as_ref()
        .map_or(LossStatus::NoneKnown, |noted| noted.loss);
    let partitions = noted.map_or_else(BTreeMap::new, |noted| noted.partitions);
    loop {
        let observation = Observation::read(to, None).await?;
        let is_carried = |noted: &EpochNote| {
            noted.loss == loss && noted.epoch == observation.epoch.name && noted.id.is_some()
        };
        if observation.noted.as_ref().is_some_and(is_carried) {
            return observe(to, None, now, random).await;
        }
        // Other partitions hold other records.
        let are_same = observation.seals.len() == from.seals().await?.len();
        let note = EpochNote {
            epoch: observation.epoch.name.clone(),
            loss,
            id: Some(random().to_string()),
            is_sealed: false,
            partitions: if are_same {
                partitions.clone()
            } else {
                BTreeMap::new()
            },
        };
        if observation.replace(to, &note, now).await? {
            return observe(to, None, now, random).await;
        }
    }
}

/// Replaces the seal of every partition by `seal`, so that no claim of a gateway is accepted.
///
/// # Errors
/// [`StoreError`] when a partition does not answer.
pub async fn replace_seals(
    store: &dyn Store,
    seal: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    loop {
        let seals = store.seals().await?;
        if seals.contains(&Seal::Unknown) {
            return Err(StoreError::Unavailable(
                "a part of the store does not answer".to_owned(),
            ));
        }
        let is_replaced = |carried: &Seal| matches!(carried, Seal::Carried(text) if text == seal);
        if seals.iter().all(is_replaced) {
            return Ok(());
        }
        store.seal(&seals, seal, keep(now)).await?;
    }
}

/// Restores the seals of a store whose move to another one was cancelled: those that its note names.
///
/// # Errors
/// [`StoreError`] when a partition does not answer, or the note is missing.
pub async fn restore_seals(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    let noted = store.note(NOTE).await?;
    let noted = noted.as_deref().map(parse).transpose()?;
    let Some(id) = noted.and_then(|noted| noted.id) else {
        return Err(StoreError::Unsuitable(
            "the note of its replication epoch is gone: it was emptied; run guard start".to_owned(),
        ));
    };
    replace_seals(store, &id, now).await
}

/// Returns the problem of the note of the replication epoch.
#[must_use]
pub fn note_fault(text: &str) -> Option<String> {
    parse(text).err().map(|error| error.to_string())
}

/// Verifies the note of the replication epoch against the seals; returns the faults, one text for
/// each.
///
/// # Errors
/// [`StoreError`] when the store does not answer.
pub async fn seal_faults(store: &dyn Store) -> Result<Vec<String>, StoreError> {
    let text = store.note(NOTE).await?;
    let noted = match text.as_deref().map(parse).transpose() {
        Ok(noted) => noted,
        Err(error) => return Ok(vec![error.to_string()]),
    };
    let mut faults = Vec::new();
    let Some(noted) = noted else {
        faults.push("the note of the replication epoch is missing".to_owned());
        return Ok(faults);
    };
    for (partition, seal) in store.seals().await?.iter().enumerate() {
        let fault = match seal {
            Seal::Carried(seal) if Some(seal) == noted.id.as_ref() => continue,
            Seal::Carried(_) => "carries another seal than the note names",
            Seal::Missing => "carries no seal",
            Seal::Unknown => "does not answer",
        };
        faults.push(format!("partition {partition} {fault}"));
    }
    Ok(faults)
}
