//! The reasons why a pass ends early, or is incomplete.

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
    /// Records do not end in a store of this schema.
    #[error(
        "the store has schema 3, in which nothing ends; run okebayar-gateway store upgrade once no \
         gateway of an earlier release uses it"
    )]
    OldSchema,
    /// The store failed its last verification.
    #[error("the store failed its last verification")]
    StoreUnfit,
    /// The failover guard is on, or the replication epoch has changed since the pass began.
    #[error("the store may have lost records")]
    PossibleLoss,
    /// The clock of this machine differs from that of the store by more than `store.clock_skew`.
    #[error("the clocks of this machine and of the store differ by more than store.clock_skew")]
    ClocksDiffer,
    /// The clock is far ahead of the last pass, and has not been steady for long enough since.
    #[error(
        "the clock is more than 48 h ahead of the last pass; nothing ends until it has been steady \
         for an hour"
    )]
    ClockJumped,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Interruption {
    /// Returns the label of the reason in the metric; `None` when it is no failure.
    pub(super) fn label(&self) -> Option<&'static str> {
        match self {
            Self::Stopping | Self::NotHolder => None,
            Self::OldSchema => Some("schema"),
            Self::StoreUnfit | Self::Store(_) => Some("store"),
            Self::PossibleLoss => Some("possible_loss"),
            Self::ClocksDiffer | Self::ClockJumped => Some("clock"),
        }
    }

    /// Returns true when another replica may succeed where this one does not.
    pub(super) fn is_of_this_replica(&self) -> bool {
        matches!(self, Self::StoreUnfit | Self::ClocksDiffer | Self::Store(_))
    }
}

/// The first error of the store in a pass that goes on with the next part of the store.
#[derive(Default)]
pub(super) struct FirstFault(Option<StoreError>);

impl FirstFault {
    /// Keeps an error of the store; returns every other interruption, which ends the pass.
    pub(super) fn keep(&mut self, done: Result<(), Interruption>) -> Result<(), Interruption> {
        match done {
            Err(Interruption::Store(error)) => {
                self.0.get_or_insert(error);
                Ok(())
            }
            done => done,
        }
    }

    /// Returns the error that was kept.
    pub(super) fn finish(self) -> Result<(), Interruption> {
        self.0.map_or(Ok(()), |error| Err(error.into()))
    }
}
