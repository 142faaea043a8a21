//! The state of the guard that a copied store takes over from its source.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    known_epoch::{EpochNote, KnownEpoch, LossStatus, NOTE, parse},
    observation::{Observation, keep, observe},
    operator,
};
use crate::store::{
    Store, StoreError,
    epoch::{Seal, Seals, is_moved},
};

/// Gives the target of a copy a note with a new id and the seals of it, and turns its guard on if that
/// of the source is, or if `is_lost`. The note of the source must hold every loss. Claims and commits
/// that name an earlier id are refused from then on.
///
/// # Errors
/// [`StoreError`] when a note cannot be read or written, or the source has none.
pub async fn carry(
    from: &dyn Store,
    to: &dyn Store,
    is_lost: bool,
    now: Timestamp,
    random: impl Fn() -> Uuid,
) -> Result<KnownEpoch, StoreError> {
    let noted = from.note(NOTE).await?;
    let noted = noted.as_deref().map(parse).transpose()?;
    // Other partitions hold other records.
    let are_same = from.partitions() == to.partitions();
    let (loss, partitions) = match noted {
        _ if is_lost => (LossStatus::Since(now), BTreeMap::new()),
        Some(noted) if are_same => (noted.loss, noted.partitions),
        Some(noted) => (noted.loss, BTreeMap::new()),
        None => return Err(StoreError::Unsuitable(NO_NOTE.to_owned())),
    };
    loop {
        let observation = Observation::read(to, None).await?;
        let note = EpochNote {
            epoch: observation.epoch.name.clone(),
            loss,
            id: Some(random().to_string()),
            is_sealed: false,
            partitions: partitions.clone(),
            former_ids: Vec::new(),
        };
        if observation.replace(to, &note, now).await? {
            return observe(to, None, now, &random).await;
        }
    }
}

const NO_NOTE: &str = "the note of its replication epoch is missing";

/// Returns what a store may have lost since its note was written, as a text; `None` when it lost
/// nothing. Each partition must carry `seal`; without one, the id of the note. A partition that moved
/// to another server counts as lost: a walk over the servers may have missed it.
///
/// # Errors
/// [`StoreError`] when the store does not answer.
pub async fn loss_in(
    store: &dyn Store,
    seal: Option<&str>,
) -> Result<Option<&'static str>, StoreError> {
    let Some(noted) = store.note(NOTE).await? else {
        return Ok(Some(NO_NOTE));
    };
    let noted = parse(&noted)?;
    let Some(seal) = seal.or(noted.id.as_deref()).filter(|_| noted.is_sealed) else {
        return Ok(Some("its seals are not complete"));
    };
    let seals = known(store.seals().await?)?;
    let is_carried = |carried: &Seal| matches!(carried, Seal::Carried(carried) if carried == seal);
    if !seals.iter().all(is_carried) {
        return Ok(Some("a partition lost its seal"));
    }
    let epoch = store.epoch(Some(&noted.epoch)).await?;
    let is_same = epoch.name == noted.epoch;
    Ok((!is_same).then_some("a server was restarted or promoted, or a slot was moved"))
}

/// Like [`loss_in`], of a store that must still be in a known epoch.
///
/// # Errors
/// [`StoreError`] when the store does not answer.
pub async fn loss_since(
    store: &dyn Store,
    known: &KnownEpoch,
) -> Result<Option<&'static str>, StoreError> {
    let noted = store.note(NOTE).await?;
    let noted = noted.as_deref().map(parse).transpose()?;
    if noted.is_some_and(|noted| noted != known.note) {
        return Ok(Some("its note of the replication epoch was replaced"));
    }
    loss_in(store, None).await
}

/// Verifies that a store has a note of its replication epoch. Without one, an observation would take
/// it for a new store.
///
/// # Errors
/// [`StoreError::Unsuitable`] when it has none.
pub async fn require_note(store: &dyn Store) -> Result<(), StoreError> {
    match store.note(NOTE).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::Unsuitable(format!(
            "{NO_NOTE}: it was emptied, or a part of it was; run okebayar-gateway guard start first"
        ))),
    }
}

/// Replaces the seal of every partition by that of a moved store, so that no claim of a gateway is
/// accepted. A partition without a seal lost it, and stays so.
///
/// # Errors
/// [`StoreError`] when a partition does not answer.
pub async fn replace_seals(
    store: &dyn Store,
    moved: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let is_left = |seal: &Seal| matches!(seal, Seal::Carried(text) if text != moved);
    set_seals(store, is_left, moved, now).await
}

/// Restores the seals of a store whose move to another one was cancelled: those that its note names. A
/// partition without a seal lost it, and stays so. Without a note, the store was emptied: the guard
/// turns on.
///
/// # Errors
/// [`StoreError`] when a partition does not answer.
pub async fn restore_seals(
    store: &dyn Store,
    now: Timestamp,
    random: impl Fn() -> Uuid,
) -> Result<(), StoreError> {
    let noted = store.note(NOTE).await?;
    let noted = noted.as_deref().map(parse).transpose()?;
    let id = noted.and_then(|noted| noted.id);
    let seal = id.clone().unwrap_or_else(|| random().to_string());
    set_seals(store, is_moved, &seal, now).await?;
    if id.is_none() {
        operator::start(store, now, &random).await?;
    }
    Ok(())
}

/// Returns true when a partition of a store carries the seal of a moved one.
///
/// # Errors
/// [`StoreError`] when a partition does not answer.
pub async fn is_sealed_as_moved(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(known(store.seals().await?)?.iter().any(is_moved))
}

/// Sets the seals that `is_left` selects, until none is left.
async fn set_seals(
    store: &dyn Store,
    is_left: impl Fn(&Seal) -> bool,
    seal: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    loop {
        let seals = known(store.seals().await?)?;
        if !seals.iter().any(&is_left) {
            return Ok(());
        }
        // An unknown one is left unchanged.
        let leave = |carried: Seal| {
            if is_left(&carried) {
                carried
            } else {
                Seal::Unknown
            }
        };
        let selected: Seals = seals.into_iter().map(leave).collect();
        store.seal(&selected, seal, keep(now)).await?;
    }
}

/// Verifies that every partition answers.
fn known(seals: Seals) -> Result<Seals, StoreError> {
    if seals.contains(&Seal::Unknown) {
        return Err(StoreError::Unavailable(
            "a part of the store does not answer".to_owned(),
        ));
    }
    Ok(seals)
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
