//! A read-only view of the failover guard.

use super::{known_epoch::KnownEpoch, observation::Observation};
use crate::store::{Store, StoreError, epoch::LostPartitions};

/// The state of the failover guard, read without writing to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardView {
    /// No gateway has used the store.
    Unused,
    /// Records may be lost, and no gateway has noticed yet.
    UndetectedLoss,
    /// The epoch in the note.
    Known(KnownEpoch),
}

/// Reads the state of the guard without writing to the store.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub async fn view(store: &dyn Store) -> Result<GuardView, StoreError> {
    Ok(view_of(&Observation::read(store, None).await?))
}

/// Builds the view of an observation.
fn view_of(observation: &Observation) -> GuardView {
    match observation.noted.clone() {
        None if observation.is_emptied_in_use => GuardView::UndetectedLoss,
        None => GuardView::Unused,
        Some(noted) if observation.lost_since(&noted) != LostPartitions::None => {
            GuardView::UndetectedLoss
        }
        Some(noted) => GuardView::Known(KnownEpoch::new(noted)),
    }
}
