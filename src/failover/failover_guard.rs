//! The failover guard of one process: the last observed epoch, and the quarantine decision.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::{
    known_epoch::{GuardSettings, KnownEpoch},
    observation,
};
use crate::{
    ambient::Ambient,
    ledger::hub::Hub,
    store::{PartFault, Store, StoreError},
    telemetry::Metrics,
    transaction::{Intent, Order, ReferenceCode, State, Transaction, TransactionKey},
};

/// The time-out of one verification of the store.
pub const VERIFY_TIMEOUT: Duration = Duration::from_secs(5);
/// The time-out of the observation in a verification that found a part of the store failing: its
/// note may lie there.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);

/// The failover guard of this process: it verifies the store, follows its replication epoch, and
/// decides which reference codes are quarantined.
pub struct FailoverGuard {
    pub(super) store: Arc<dyn Store>,
    settings: GuardSettings,
    hub: Hub,
    metrics: Metrics,
    ambient: Ambient,
    /// The epoch of the last observation.
    known: Mutex<Option<KnownEpoch>>,
    /// The result of the last verification of the store.
    verification: Mutex<Verification>,
}

/// The result of a verification of the store.
#[derive(Default)]
struct Verification {
    /// The problem of the whole store.
    problem: Option<String>,
    /// The parts that failed while others answered.
    faults: Vec<PartFault>,
}

impl FailoverGuard {
    /// Builds the guard of a store, without reading it.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        settings: GuardSettings,
        hub: Hub,
        metrics: Metrics,
        ambient: Ambient,
    ) -> Self {
        Self {
            store,
            settings,
            hub,
            metrics,
            ambient,
            known: Mutex::new(None),
            verification: Mutex::default(),
        }
    }

    /// Verifies that the store answers, accepts writes, is usable by this gateway, and has lost
    /// nothing. Keeps the result for [`FailoverGuard::store_problem`].
    ///
    /// # Errors
    /// [`StoreError`] when a verification fails, or takes longer than [`VERIFY_TIMEOUT`]. Neither a
    /// loss is an error, which turns the guard on, nor a part of the store that fails while others
    /// answer, which takes no claims.
    pub async fn verify_store(&self) -> Result<(), StoreError> {
        let verifying = async {
            let faults = self.store.verify().await?;
            if faults.is_empty() || self.known().is_none() {
                self.refresh().await?;
                return Ok(faults);
            }
            match tokio::time::timeout(REFRESH_TIMEOUT, self.refresh()).await {
                // Claims name the epoch that is known.
                Ok(Err(error)) if !error.is_transient() => Err(error),
                _ => Ok(faults),
            }
        };
        let verified = tokio::time::timeout(VERIFY_TIMEOUT, verifying).await;
        let verified = verified.unwrap_or_else(|_| {
            let problem = format!("no answer to the verification within {VERIFY_TIMEOUT:?}");
            Err(StoreError::Indeterminate(problem))
        });
        let problem = verified.as_ref().err().map(ToString::to_string);
        let (faults, verified) = match verified {
            Ok(faults) => (faults, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        *self.verification() = Verification { problem, faults };
        verified
    }

    /// Returns the problem of the whole store that the last verification found. It is for operators
    /// only, because it may quote the store's client.
    #[must_use]
    pub fn store_problem(&self) -> Option<String> {
        self.verification().problem.clone()
    }

    /// Returns the parts of the store that failed the last verification while others answered.
    #[must_use]
    pub fn part_faults(&self) -> Vec<PartFault> {
        self.verification().faults.clone()
    }

    /// Returns true when the part of the store that holds a transaction failed the last verification,
    /// and takes no claim.
    #[must_use]
    pub fn is_unfit_for(&self, key: &TransactionKey) -> bool {
        let partition = self.store.partition_of(key);
        let verification = self.verification();
        let is_there = |fault: &PartFault| fault.partitions.contains(&partition);
        verification.problem.is_some() || verification.faults.iter().any(is_there)
    }

    fn verification(&self) -> MutexGuard<'_, Verification> {
        self.verification
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the epoch of the last observation; observes it the first time.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn epoch(&self) -> Result<KnownEpoch, StoreError> {
        let known = self.known().clone();
        match known {
            Some(epoch) => Ok(epoch),
            None => self.refresh().await,
        }
    }

    /// Observes the epoch of the store, and logs when the guard turns on or off.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn refresh(&self) -> Result<KnownEpoch, StoreError> {
        let before = self.known().clone();
        let now = (self.ambient.now)();
        let observing =
            observation::observe(&*self.store, before.as_ref(), now, self.ambient.random);
        let epoch = observing.await?;
        let on = epoch.on(&self.settings, now);
        self.metrics.guard(on.is_some());
        match on {
            _ if before.as_ref() == Some(&epoch) => {}
            Some((since, until)) => warn!(
                %since,
                %until,
                "store may have lost records: unknown reference codes that are not provably newer \
                 are quarantined; see the failover guard in docs/OPERATIONS.md"
            ),
            None if before.is_some() => info!("failover guard off"),
            None => {}
        }
        if before.is_some_and(|before| before != epoch) {
            // Subscribers may hold records that are gone, of which no commit notifies them.
            self.hub.read_again();
        }
        *self.known() = Some(epoch.clone());
        Ok(epoch)
    }

    /// Returns true while the guard is on in this epoch.
    #[must_use]
    pub fn is_on(&self, epoch: &KnownEpoch) -> bool {
        epoch.on(&self.settings, (self.ambient.now)()).is_some()
    }

    /// Returns the longest difference between the clocks of callers and gateways.
    #[must_use]
    pub fn clock_skew(&self) -> SignedDuration {
        self.settings.clock_skew
    }

    /// Returns true when a reference code without a record may have been sent: the store may have
    /// lost the record, and the code is not provably newer than the loss. Also true when the epoch
    /// cannot be observed.
    pub async fn may_have_forgotten(&self, key: &TransactionKey) -> bool {
        match self.refresh().await {
            Ok(epoch) => self.may_be_lost(&epoch, key),
            Err(_) => true,
        }
    }

    /// Returns true when the store may have lost the record of a reference code that has none in
    /// this epoch.
    #[must_use]
    pub fn may_be_lost(&self, epoch: &KnownEpoch, key: &TransactionKey) -> bool {
        let reference = ReferenceCode::parse(key.as_str());
        let minted_at = reference.ok().and_then(|reference| reference.minted_at());
        self.quarantines(epoch, minted_at, Some(key))
    }

    /// Returns true when nothing was sent under the reference code of a stored transaction: it is
    /// NOT_SENT, and the store has not lost a later attempt.
    pub async fn is_unsent(&self, stored: &Transaction) -> bool {
        if !matches!(stored.status().state, State::NotSent(_)) {
            return false;
        }
        let epoch = self.refresh().await;
        let key = stored.key();
        epoch.is_ok_and(|epoch| !self.quarantines(&epoch, stored.not_sent_at(), Some(&key)))
    }

    /// Returns true when an attempt must be quarantined. `stored` is the record of its reference
    /// code.
    #[must_use]
    pub fn must_quarantine(
        &self,
        epoch: &KnownEpoch,
        intent: &Intent,
        order: &Order,
        stored: Option<&Transaction>,
    ) -> bool {
        let unsent_at = match stored {
            Some(stored) => stored.not_sent_at(),
            None => unused_at(intent, order),
        };
        // The binding of an inquiry lies in a partition of its own, which may be the lost one.
        let key = intent.key();
        let held = order.inquired.is_none().then_some(&key);
        self.quarantines(epoch, unsent_at, held)
    }

    /// Applies [`KnownEpoch::quarantines`] now, for records in the partition of `key`, or in any.
    fn quarantines(
        &self,
        epoch: &KnownEpoch,
        unsent_at: Option<Timestamp>,
        key: Option<&TransactionKey>,
    ) -> bool {
        let partition = key.map(|key| self.store.partition_of(key));
        let now = (self.ambient.now)();
        epoch.quarantines(unsent_at, partition, &self.settings, now)
    }

    fn known(&self) -> MutexGuard<'_, Option<KnownEpoch>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a time at which the reference code provably had not been used: its own time stamp, or
/// that of its inquiry where that is earlier, because the store may have lost the inquiry's
/// binding.
fn unused_at(intent: &Intent, order: &Order) -> Option<Timestamp> {
    let minted_at = intent.reference_code.minted_at()?;
    match &order.inquired {
        Some(inquired) => Some(minted_at.min(inquired.at?)),
        None => Some(minted_at),
    }
}
