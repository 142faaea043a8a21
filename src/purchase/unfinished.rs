//! Purchases that only wait for the store: unconfirmed claims that must be abandoned, and outcomes
//! that are not stored yet.
//!
//! Only this process knows both: that nothing was sent, and OKEBAYAR's answer. So it keeps both in
//! memory as long as it runs, and a shutdown waits for them. They hold no slot meanwhile, so that
//! the queue is free when the store returns.
//!
//! Their number is bounded: each claim acquires a [`Reservation`] first, and keeps it until the
//! outcome is stored or the claim is abandoned. Without a reservation nothing is claimed, so
//! there is always room to abandon a claim.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::ExponentialBuilder;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::transaction::{AttemptToken, TransactionKey};

/// The number of reservations for each purchase that the queue holds. An entry takes some hundred
/// bytes, and the entry of an outcome also its transaction.
const RESERVATIONS_PER_QUEUED: usize = 16;

/// The longest delay between two tries of the store.
pub(super) const STORE_RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// The backoff between tries of the store, without an end: 50 ms, doubled up to
/// [`STORE_RETRY_DELAY_MAX`].
pub(super) const STORE_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(STORE_RETRY_DELAY_MAX)
    .with_factor(2.0)
    .without_max_times();

/// The right to begin a purchase: room in memory until its outcome is stored.
pub(super) struct Reservation(
    #[expect(dead_code, reason = "held until dropped, never read")] OwnedSemaphorePermit,
);

/// A claim that may be stored and will not be sent.
pub(super) struct Unconfirmed {
    /// The claimed transaction.
    pub(super) key: TransactionKey,
    /// The token of the claimed attempt.
    pub(super) token: AttemptToken,
    /// The time since which the store has not held the claim.
    pub(super) absent_since: Option<Instant>,
    /// Released when the claim is abandoned.
    pub(super) _reservation: Reservation,
}

/// The entries of [`Unfinished`], by a number of their own.
#[derive(Default)]
pub(super) struct Entries {
    /// The claims to abandon.
    pub(super) claims: BTreeMap<u64, Unconfirmed>,
    /// True while the one task that abandons all claims runs.
    is_worker_running: bool,
    /// The transactions whose outcome waits for the store.
    pub(super) outcomes: BTreeMap<u64, TransactionKey>,
    /// The number of the latest entry.
    last: u64,
}

impl Entries {
    /// Returns the number of a new entry.
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// The purchases of this process whose claim or outcome waits for the store.
pub struct Unfinished {
    room: Arc<Semaphore>,
    entries: Mutex<Entries>,
}

impl Unfinished {
    /// Builds the list, with a fixed number of reservations for each purchase of the queue.
    #[must_use]
    pub fn new(queue: usize) -> Self {
        let permits = queue
            .saturating_mul(RESERVATIONS_PER_QUEUED)
            .min(Semaphore::MAX_PERMITS);
        Self {
            room: Arc::new(Semaphore::new(permits)),
            entries: Mutex::default(),
        }
    }

    /// Reserves room for one more purchase; `None` while too many wait for the store.
    pub(super) fn reserve(&self) -> Option<Reservation> {
        Arc::clone(&self.room)
            .try_acquire_owned()
            .ok()
            .map(Reservation)
    }

    /// Locks the entries.
    pub(super) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a claim; returns true when the caller must start the worker.
    pub(super) fn add(&self, claim: Unconfirmed) -> bool {
        let mut entries = self.entries();
        let number = entries.number();
        entries.claims.insert(number, claim);
        !std::mem::replace(&mut entries.is_worker_running, true)
    }

    /// Returns the remaining claims; the worker ends when there are none.
    pub(super) fn claims(&self) -> Vec<(u64, TransactionKey, AttemptToken)> {
        let mut entries = self.entries();
        // SUBTLE: both steps hold the lock.
        // 1. The worker finds no claim left, and clears the flag.
        // 2. A caller adds a claim.
        // In this order, 2 finds no running worker and starts one. In the other order, 1 finds
        // the claim.
        entries.is_worker_running = !entries.claims.is_empty();
        let named =
            |(number, claim): (&u64, &Unconfirmed)| (*number, claim.key.clone(), claim.token);
        entries.claims.iter().map(named).collect()
    }

    /// Records whether a claim is absent from the store. Returns true once it has been absent for
    /// `after` without interruption: then no write of it can still be on its way.
    pub(super) fn note_absence(&self, number: u64, is_absent: bool, after: Duration) -> bool {
        let mut entries = self.entries();
        let Some(claim) = entries.claims.get_mut(&number) else {
            return false;
        };
        if !is_absent {
            claim.absent_since = None;
            return false;
        }
        claim
            .absent_since
            .get_or_insert_with(Instant::now)
            .elapsed()
            >= after
    }
}

/// The entry of an outcome that waits for the store; removed when this is dropped.
pub(super) struct WaitingOutcome<'a> {
    unfinished: &'a Unfinished,
    number: u64,
}

impl<'a> WaitingOutcome<'a> {
    /// Adds the entry.
    pub(super) fn begin(unfinished: &'a Unfinished, key: &TransactionKey) -> Self {
        let mut entries = unfinished.entries();
        let number = entries.number();
        entries.outcomes.insert(number, key.clone());
        drop(entries);
        Self { unfinished, number }
    }
}

impl Drop for WaitingOutcome<'_> {
    fn drop(&mut self) {
        self.unfinished.entries().outcomes.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;
    use uuid::Uuid;

    use super::*;
    use crate::transaction::ReferenceCode;

    fn claim(unfinished: &Unfinished) -> Unconfirmed {
        let reference = ReferenceCode::parse("reference-1").unwrap();
        Unconfirmed {
            key: TransactionKey::new(&reference),
            token: AttemptToken::new(Uuid::from_u128(1)),
            absent_since: None,
            _reservation: unfinished.reserve().unwrap(),
        }
    }

    #[test]
    fn reservation_is_held_until_purchase_is_finished() {
        let unfinished = Unfinished::new(2);
        let mut reservations: Vec<Reservation> =
            std::iter::from_fn(|| unfinished.reserve()).collect();
        assert_eq!(reservations.len(), 2 * RESERVATIONS_PER_QUEUED);
        drop(reservations.pop());
        unfinished.add(claim(&unfinished));
        assert!(unfinished.reserve().is_none(), "the claim holds it");
        unfinished.entries().claims.clear();
        assert!(unfinished.reserve().is_some());
    }

    #[test]
    fn worker_is_started_once_for_all_claims_and_again_after_it_ends() {
        let unfinished = Unfinished::new(2);
        assert!(unfinished.add(claim(&unfinished)));
        assert!(!unfinished.add(claim(&unfinished)));
        assert_eq!(unfinished.claims().len(), 2);
        assert!(!unfinished.add(claim(&unfinished)));
        unfinished.entries().claims.clear();
        assert!(unfinished.claims().is_empty(), "the worker ends");
        assert!(unfinished.add(claim(&unfinished)));
    }

    #[test]
    fn store_backoff_doubles_up_to_one_second_without_end() {
        let delays = STORE_BACKOFF.build().take(100);
        let delays: Vec<u128> = delays.map(|delay| delay.as_millis()).collect();
        assert_eq!(delays[..7], [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(delays.len(), 100);
        assert_eq!(delays[99], 1000);
    }

    #[test]
    fn claim_is_dropped_only_after_uninterrupted_absence() {
        let unfinished = Unfinished::new(2);
        unfinished.add(claim(&unfinished));
        let number = unfinished.claims()[0].0;
        let long = Duration::from_hours(1);
        assert!(!unfinished.note_absence(number, true, long));
        assert!(unfinished.note_absence(number, true, Duration::ZERO));
        assert!(!unfinished.note_absence(number, false, Duration::ZERO));
        assert!(!unfinished.note_absence(number + 1, true, Duration::ZERO));
    }
}
