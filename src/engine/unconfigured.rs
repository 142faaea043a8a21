//! Due transactions of accounts that this gateway does not have: an account was removed
//! from the configuration, or renamed without its former name, or a rollout that adds it is
//! on its way and another gateway has it.
//!
//! Nobody can check them here, and their time goes on: the schedule moves without checks
//! and ends in manual review (promise 11).
//!
//! SUBTLE: during a rollout gateway A has the account, and B does not:
//! 1. Both see a transaction due. B takes no lease and commits nothing: it sets the
//!    transaction aside, and looks past it so that others are not kept waiting.
//! 2. A leases or settles it. B then no longer sees it due, and forgets it.
//! 3. Only what B has seen due for the whole of `checks.unconfigured_grace` is passed over:
//!    A had that time. A time in which B did not look, because the store did not answer or
//!    the machine was suspended, may have kept A from it as well, and does not count.
//! 4. A may be checking at that very moment. Passing over is not a check made, so it
//!    shortens no schedule of A's, and A folds its answer into whatever is stored. Only at
//!    `checks.give_up_after` an answer can come too late: the review then shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::Engine;
use crate::{
    store::{
        StoreError,
        unresolved::{self, PerState, UNRESOLVED},
    },
    transaction::{AccountName, Transaction, TransactionKey},
};

/// How many are set aside at once. Further ones are postponed at once, and never given up.
const SET_ASIDE_MAX: usize = 4096;

/// In how many parts the grace is counted at least: a look counts for no more than one,
/// however long ago the last one was.
const LOOKS_MIN: i32 = 4;

/// The transactions that are left to other gateways, and for how long they were seen due.
#[derive(Default)]
pub(super) struct SetAside(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    due_for: BTreeMap<TransactionKey, SignedDuration>,
    /// When the store last told what is due.
    looked_at: Option<Timestamp>,
}

/// What to do about a due transaction that cannot be checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Leave it to a gateway that has the account.
    Leave,
    /// Move the schedule on, but do not end it.
    Postpone,
    /// Move the schedule on, or end it.
    PassOver,
}

impl SetAside {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many are set aside: so many more must be looked up.
    pub(super) fn count(&self) -> usize {
        self.seen().due_for.len()
    }

    /// Notes what is due now, and returns it without what is set aside.
    pub(super) fn filter(
        &self,
        due: Vec<TransactionKey>,
        now: Timestamp,
        grace: SignedDuration,
    ) -> Vec<TransactionKey> {
        let mut seen = self.seen();
        let last = seen.looked_at.replace(now).unwrap_or(now);
        if seen.due_for.is_empty() {
            return due;
        }
        let gap = now.duration_since(last);
        let counted = gap.clamp(SignedDuration::ZERO, grace / LOOKS_MIN);
        let still: BTreeSet<&TransactionKey> = due.iter().collect();
        seen.due_for.retain(|key, due_for| {
            *due_for = due_for.saturating_add(counted);
            still.contains(key)
        });
        let is_aside = |key: &TransactionKey| {
            let due_for = seen.due_for.get(key);
            due_for.is_some_and(|due_for| *due_for < grace)
        };
        due.into_iter().filter(|key| !is_aside(key)).collect()
    }

    /// The store did not tell what is due.
    pub(super) fn forget(&self) {
        *self.seen() = Seen::default();
    }

    fn turn(&self, key: &TransactionKey, grace: SignedDuration) -> Turn {
        let mut seen = self.seen();
        match seen.due_for.get(key) {
            Some(due_for) if *due_for >= grace => {
                seen.due_for.remove(key);
                Turn::PassOver
            }
            Some(_) => Turn::Leave,
            None if seen.due_for.len() >= SET_ASIDE_MAX => Turn::Postpone,
            None => {
                seen.due_for.insert(key.clone(), SignedDuration::ZERO);
                Turn::Leave
            }
        }
    }
}

impl Engine {
    /// Leaves a due transaction to a gateway that has its account; moves its schedule on
    /// where none has taken it for long.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be stored; it is then due again.
    pub(super) async fn pass_over(&self, due: Arc<Transaction>) -> Result<(), StoreError> {
        let key = due.key();
        let grace = self.schedule().unconfigured_grace;
        let may_end = match self.set_aside.turn(&key, grace) {
            Turn::Leave => return Ok(()),
            Turn::Postpone => false,
            Turn::PassOver => true,
        };
        let passed = self
            .update(due, |current| {
                current.pass_over(may_end, self.now(), self.schedule())
            })
            .await?;
        info!(
            %key,
            account = %passed.account(),
            state = passed.standing().state.name(),
            next_at = passed.due_at().map(tracing::field::display),
            "status check passed over: its account is not configured"
        );
        Ok(())
    }

    /// Counts the open transactions of accounts that are not configured, for the gauge;
    /// `reported` holds the accounts that the log has told of.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn count_unconfigured(
        &self,
        reported: &mut BTreeSet<AccountName>,
    ) -> Result<(), StoreError> {
        let mut total = PerState::default();
        let mut found = BTreeSet::new();
        let names = self.store.account_names().await?;
        // Every record carries a name that the identity knows: see `store/identity.rs`.
        if names.iter().any(|name| self.upstream(name).is_none()) {
            let counts = unresolved::by_account(&*self.store).await?;
            let unconfigured = counts
                .into_iter()
                .filter(|(account, _)| self.upstream(account).is_none());
            for (account, counts) in unconfigured {
                if !reported.contains(&account) {
                    warn!(
                        %account,
                        count = counts.iter().sum::<u64>(),
                        "open transactions of an account that is not configured: they are not \
                         checked; configure the account, or accounts.<name>.formerly if it was \
                         renamed"
                    );
                }
                for (total, count) in total.iter_mut().zip(counts) {
                    *total += count;
                }
                found.insert(account);
            }
        }
        *reported = found;
        for (state, count) in UNRESOLVED.into_iter().zip(total) {
            self.metrics().unconfigured(state, count);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::ReferenceCode;

    const GRACE: SignedDuration = SignedDuration::from_secs(600);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn key(number: usize) -> TransactionKey {
        TransactionKey::new(&ReferenceCode::parse(format!("reference-{number:06}")).unwrap())
    }

    /// Looks at these times; returns what the last look left.
    fn look(aside: &SetAside, due: &[TransactionKey], times: &[i64]) -> Vec<TransactionKey> {
        let looks = times
            .iter()
            .map(|seconds| aside.filter(due.to_vec(), at(*seconds), GRACE));
        looks.last().unwrap()
    }

    #[test]
    fn what_stays_due_is_passed_over_after_the_grace() {
        let aside = SetAside::default();
        let due = [key(1), key(2)];
        assert_eq!(look(&aside, &due, &[0]), due);
        assert_eq!(aside.turn(&due[0], GRACE), Turn::Leave);
        assert_eq!(
            look(&aside, &due, &[100, 200, 300, 400, 500, 599]),
            due[1..]
        );
        assert_eq!(aside.turn(&due[0], GRACE), Turn::Leave);
        assert_eq!(look(&aside, &due, &[600]), due);
        assert_eq!(aside.turn(&due[0], GRACE), Turn::PassOver);
        assert_eq!(aside.count(), 0);
    }

    #[test]
    fn what_another_gateway_takes_begins_anew() {
        let aside = SetAside::default();
        look(&aside, &[key(1)], &[0]);
        aside.turn(&key(1), GRACE);
        look(&aside, &[key(1)], &[150, 300, 450]);
        look(&aside, &[], &[500]);
        look(&aside, &[key(1)], &[600]);
        assert_eq!(aside.turn(&key(1), GRACE), Turn::Leave);
    }

    #[test]
    fn a_time_without_looks_does_not_count() {
        for is_suspended in [false, true] {
            let aside = SetAside::default();
            look(&aside, &[key(1)], &[0]);
            aside.turn(&key(1), GRACE);
            if is_suspended {
                look(&aside, &[key(1)], &[150, 300, 100_000]);
            } else {
                look(&aside, &[key(1)], &[150, 300, 450]);
                aside.forget();
                look(&aside, &[key(1)], &[600]);
            }
            assert_eq!(aside.turn(&key(1), GRACE), Turn::Leave);
        }
    }

    #[test]
    fn what_finds_no_room_is_postponed() {
        let aside = SetAside::default();
        for number in 0..SET_ASIDE_MAX {
            assert_eq!(aside.turn(&key(number), GRACE), Turn::Leave);
        }
        assert_eq!(aside.turn(&key(SET_ASIDE_MAX), GRACE), Turn::Postpone);
    }
}
