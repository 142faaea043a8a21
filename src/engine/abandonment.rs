//! Purchases that only the store still holds up: claims that could not be confirmed and
//! are to be given up, and outcomes that could not be stored yet.
//!
//! This process is the only proof of both: that nothing was sent, and what OKEBAYAR
//! answered. So it forgets neither while it lives, and a shutdown waits for them. They
//! hold no slot meanwhile: a store that comes back finds the queue free.
//!
//! They are bounded by the claims made: each claim takes a [`Place`] before it is made
//! and keeps it until it is confirmed and its outcome is stored, or until it is given
//! up. Without a place no claim is made, so there is always room to give one up.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::{error, warn};

use super::Engine;
use crate::{
    store::StoreError,
    transaction::{
        AttemptToken, Finding, NotSent, Source, State, Statement, Transaction, TransactionKey,
    },
};

/// The purchases that may be unfinished for each one that the queue holds. An entry
/// takes some hundred bytes, and that of an outcome also its transaction.
const PLACES_PER_QUEUED: usize = 16;

/// Claims that are given up at a time.
const AT_ONCE: usize = 16;

/// The right to begin a purchase: room for it until the store holds how it ended.
pub(super) struct Place(#[expect(dead_code, reason = "it is held, not read")] OwnedSemaphorePermit);

/// A claim that may be stored and will not be sent.
struct Unconfirmed {
    key: TransactionKey,
    token: AttemptToken,
    /// Since when the store shows that it is not stored.
    absent_since: Option<Instant>,
    _place: Place,
}

#[derive(Default)]
struct Entries {
    claims: BTreeMap<u64, Unconfirmed>,
    /// One task gives all claims up.
    is_worker_running: bool,
    outcomes: BTreeMap<u64, TransactionKey>,
    /// Numbers the entries.
    last: u64,
}

impl Entries {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// The purchases of this process that the store does not hold as they ended.
pub(super) struct Unfinished {
    places: Arc<Semaphore>,
    entries: Mutex<Entries>,
}

impl Unfinished {
    /// Makes room for a multiple of what the queue holds.
    pub(super) fn new(queue: usize) -> Self {
        let places = queue
            .saturating_mul(PLACES_PER_QUEUED)
            .min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            entries: Mutex::default(),
        }
    }

    /// Reserves room for one more; `None` while the store holds up too many.
    pub(super) fn place(&self) -> Option<Place> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(Place)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a claim; `true` when a worker is to be started.
    fn add(&self, claim: Unconfirmed) -> bool {
        let mut entries = self.entries();
        let number = entries.number();
        entries.claims.insert(number, claim);
        !std::mem::replace(&mut entries.is_worker_running, true)
    }

    /// The claims that are left; the worker ends when there are none.
    fn claims(&self) -> Vec<(u64, TransactionKey, AttemptToken)> {
        let mut entries = self.entries();
        // SUBTLE: under one lock. 1. the worker sees that nothing is left; 2. a claim is
        // added. Either 1 sees the claim, or 2 sees that no worker runs.
        entries.is_worker_running = !entries.claims.is_empty();
        let named =
            |(number, claim): (&u64, &Unconfirmed)| (*number, claim.key.clone(), claim.token);
        entries.claims.iter().map(named).collect()
    }

    /// Notes whether a claim is absent from the store; `true` when it has been for so
    /// long that no write of it can be on its way.
    fn is_gone(&self, number: u64, is_absent: bool, after: Duration) -> bool {
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

/// An outcome that waits for the store.
struct WaitingOutcome<'a> {
    unfinished: &'a Unfinished,
    number: u64,
}

impl<'a> WaitingOutcome<'a> {
    fn begin(unfinished: &'a Unfinished, key: &TransactionKey) -> Self {
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

enum Abandoned {
    Done,
    Absent,
}

impl Engine {
    /// Logs the purchases whose end is not stored: this process is about to forget it.
    /// The check schedule then settles them.
    pub fn log_unfinished(&self) {
        let entries = self.unfinished.entries();
        for Unconfirmed { key, .. } in entries.claims.values() {
            error!(%key, "a claim could not be given up: nothing was sent; the record may remain SENDING until status checks settle it");
        }
        for key in entries.outcomes.values() {
            error!(%key, "an outcome could not be stored: the purchase was sent, and status checks must settle it");
        }
    }

    /// Stores what became of the POST, and does not stop trying: the caller waits,
    /// and the check schedule is the safety net if this process dies first.
    pub(super) async fn store_outcome(
        &self,
        claimed: Arc<Transaction>,
        statement: Statement,
        place: Place,
    ) {
        let key = claimed.key();
        let mut waiting = None;
        let mut pause = Pause::default();
        loop {
            match self.try_store_outcome(&claimed, &statement).await {
                Ok(()) => break,
                Err(problem) if problem.is_transient() => {
                    waiting.get_or_insert_with(|| WaitingOutcome::begin(&self.unfinished, &key));
                    warn!(%key, %problem, "an outcome could not be stored yet");
                    pause.wait().await;
                }
                Err(problem) => {
                    error!(%key, %problem, "an outcome cannot be stored");
                    break;
                }
            }
        }
        drop((waiting, place));
    }

    async fn try_store_outcome(
        &self,
        claimed: &Arc<Transaction>,
        statement: &Statement,
    ) -> Result<(), StoreError> {
        let weighed = self.weigh(claimed, statement.clone()).await?;
        let observe = |current: &Transaction| {
            // What one attempt did not send says nothing of another one.
            let is_unsent = matches!(weighed.finding, Finding::NotSent { .. });
            let is_other = current.token() != claimed.token();
            if is_unsent && is_other {
                return None;
            }
            // The store lost the record, and holds something else under its reference code.
            let is_for_another = is_other && !current.is_same_order(claimed);
            if is_for_another {
                error!(
                    key = %claimed.key(),
                    "the outcome of a POST belongs to another order than the store holds; an \
                     operator must settle it"
                );
            }
            let review =
                is_for_another.then(|| Statement::bare(Source::Gateway, Finding::ChecksExhausted));
            let said = std::iter::once(weighed.clone()).chain(review);
            current.observe(said, self.now(), self.schedule())
        };
        self.update(Arc::clone(claimed), observe).await.map(drop)
    }

    /// Has a claim that will not be sent turned into NOT_SENT, until that is stored or
    /// it is certain that the claim is not. This process held the token: nobody
    /// else can know that nothing was sent.
    pub(super) fn abandon(
        self: &Arc<Self>,
        key: TransactionKey,
        token: AttemptToken,
        place: Place,
    ) {
        let claim = Unconfirmed {
            key,
            token,
            absent_since: None,
            _place: place,
        };
        if self.unfinished.add(claim) {
            let engine = Arc::clone(self);
            self.tasks
                .spawn(async move { engine.give_up_claims().await });
        }
    }

    /// Gives up every claim there is, round after round, and ends when none is left.
    async fn give_up_claims(&self) {
        let mut pause = Pause::default();
        loop {
            let claims = self.unfinished.claims();
            if claims.is_empty() {
                return;
            }
            let count = claims.len();
            // One that fails holds up no other: part of a cluster may be away.
            futures::stream::iter(claims)
                .for_each_concurrent(AT_ONCE, |(number, key, token)| async move {
                    if self.is_given_up(number, &key, token).await {
                        self.unfinished.entries().claims.remove(&number);
                    }
                })
                .await;
            if self.unfinished.entries().claims.len() < count {
                pause = Pause::default();
            }
            pause.wait().await;
        }
    }

    /// Tries to give a claim up; `true` when nothing is left to do.
    async fn is_given_up(&self, number: u64, key: &TransactionKey, token: AttemptToken) -> bool {
        let is_absent = match self.try_abandon(key, token).await {
            Ok(Abandoned::Done) => return true,
            // A write whose reply was lost may still be on its way.
            Ok(Abandoned::Absent) => true,
            Err(problem) if problem.is_transient() => false,
            Err(problem) => {
                error!(%key, %problem, "a claim cannot be given up");
                return true;
            }
        };
        let after = self.settings.limits.queue_timeout;
        self.unfinished.is_gone(number, is_absent, after)
    }

    async fn try_abandon(
        &self,
        key: &TransactionKey,
        token: AttemptToken,
    ) -> Result<Abandoned, StoreError> {
        let Some(stored) = self.store.load(key).await? else {
            return Ok(Abandoned::Absent);
        };
        if stored.token() != token {
            // Armed by another call, so ours can no longer be stored; but over
            // NOT_SENT it still could.
            let is_free = matches!(stored.standing().state, State::NotSent(_));
            return Ok(if is_free {
                Abandoned::Absent
            } else {
                Abandoned::Done
            });
        }
        let give_up = |current: &Transaction| {
            if current.token() != token {
                return None;
            }
            let finding = Finding::NotSent {
                attempt: current.attempt(),
                why: NotSent::ClaimLost,
            };
            let statement = Statement::bare(Source::Gateway, finding);
            current.observe([statement], self.now(), self.schedule())
        };
        self.update(stored, give_up).await?;
        Ok(Abandoned::Done)
    }
}

/// A pause between tries that doubles up to a second.
struct Pause(Duration);

const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE_FIRST)
    }
}

impl Pause {
    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::transaction::ReferenceCode;

    fn claim(unfinished: &Unfinished) -> Unconfirmed {
        let reference = ReferenceCode::parse("reference-1").unwrap();
        Unconfirmed {
            key: TransactionKey::new(&reference),
            token: AttemptToken::new(Uuid::from_u128(1)),
            absent_since: None,
            _place: unfinished.place().unwrap(),
        }
    }

    #[test]
    fn a_place_is_taken_until_the_purchase_is_finished() {
        let unfinished = Unfinished::new(2);
        let mut places: Vec<Place> = std::iter::from_fn(|| unfinished.place()).collect();
        assert_eq!(places.len(), 2 * PLACES_PER_QUEUED);
        drop(places.pop());
        unfinished.add(claim(&unfinished));
        assert!(unfinished.place().is_none(), "the claim has it");
        unfinished.entries().claims.clear();
        assert!(unfinished.place().is_some());
    }

    #[test]
    fn one_worker_is_started_for_all_claims_and_another_when_it_has_ended() {
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
    fn a_claim_is_gone_only_after_it_was_absent_without_interruption() {
        let unfinished = Unfinished::new(2);
        unfinished.add(claim(&unfinished));
        let number = unfinished.claims()[0].0;
        let long = Duration::from_hours(1);
        assert!(!unfinished.is_gone(number, true, long));
        assert!(unfinished.is_gone(number, true, Duration::ZERO));
        assert!(!unfinished.is_gone(number, false, Duration::ZERO));
        assert!(!unfinished.is_gone(number + 1, true, Duration::ZERO));
    }
}
