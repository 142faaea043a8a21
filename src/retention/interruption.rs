//! The reasons why a pass ends early.

use crate::store::StoreError;

/// The reason why a pass ends before it is complete.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interruption {
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// Another replica holds the lease.
    #[error("another replica holds the lease")]
    NotHolder,
    /// The store failed its last verification.
    #[error("the store failed its last verification")]
    StoreUnfit,
    /// The failover guard is on, or the replication epoch has changed since the pass began.
    #[error("the store may have lost records")]
    PossibleLoss,
    /// The clock of this machine differs from that of the store by more than `store.clock_skew`.
    #[error("the clocks of this machine and of the store differ by more than store.clock_skew")]
    ClocksDiffer,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Interruption {
    /// Returns the label of the reason in the metric; `None` when it is no failure.
    pub(super) fn label(&self) -> Option<&'static str> {
        match self {
            Self::Stopping | Self::NotHolder => None,
            Self::StoreUnfit | Self::Store(_) => Some("store"),
            Self::PossibleLoss => Some("possible_loss"),
            Self::ClocksDiffer => Some("clock"),
        }
    }
}
