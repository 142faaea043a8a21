//! Due transactions of accounts that this gateway does not have: an account was removed
//! from the configuration, or renamed without its former name, or a rollout that adds it is
//! on its way and another gateway has it.
//!
//! Nobody can check them here, and their time goes on: the schedule moves without checks
//! and ends in manual review (promise 11).
//!
//! SUBTLE: during a rollout gateway A has the account, and B does not:
//! 1. Both see a transaction due. B takes no lease and commits nothing: it notes since when
//!    it sees this version of it due.
//! 2. A leases or settles it. B then no longer sees it due, or sees another version, and
//!    starts again.
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

/// How many are set aside at once. Further ones are left until there is room: nothing is
/// changed that was not seen due for the whole grace.
const SET_ASIDE_MAX: usize = 4096;

/// In how many parts the grace is counted at least: a sight counts for no more than one,
/// however long ago the last one was.
const LOOKS_MIN: i32 = 4;

/// The transactions that are left to other gateways, and for how long they were seen due.
#[derive(Default)]
pub(super) struct SetAside(Mutex<BTreeMap<TransactionKey, Seen>>);

/// A transaction that was seen due.
struct Seen {
    /// Another version means that another process leased or settled it.
    version: u64,
    due_for: SignedDuration,
    last: Timestamp,
}

/// What to do about a due transaction that cannot be checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Leave it to a gateway that has the account.
    Leave,
    /// Move the schedule on, or end it.
    PassOver,
}

impl SetAside {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<TransactionKey, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts again: the store did not return what is due.
    pub(super) fn forget(&self) {
        self.seen().clear();
    }

    /// Notes that a version of a transaction is due now.
    fn turn(
        &self,
        key: &TransactionKey,
        version: u64,
        now: Timestamp,
        grace: SignedDuration,
    ) -> Turn {
        let mut all = self.seen();
        if let Some(seen) = all.get_mut(key)
            && seen.version == version
        {
            let gap = now.duration_since(seen.last);
            let counted = gap.clamp(SignedDuration::ZERO, grace / LOOKS_MIN);
            seen.due_for = seen.due_for.saturating_add(counted);
            seen.last = now;
            if seen.due_for < grace {
                return Turn::Leave;
            }
            all.remove(key);
            return Turn::PassOver;
        }
        if all.len() >= SET_ASIDE_MAX && !all.contains_key(key) {
            all.retain(|_, seen| now.duration_since(seen.last) <= grace);
            if all.len() >= SET_ASIDE_MAX {
                return Turn::Leave;
            }
        }
        let seen = Seen {
            version,
            due_for: SignedDuration::ZERO,
            last: now,
        };
        all.insert(key.clone(), seen);
        Turn::Leave
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
        let turn = self.set_aside.turn(&key, due.version(), self.now(), grace);
        if turn == Turn::Leave {
            return Ok(());
        }
        let passed = self
            .update(due, |current| {
                current.pass_over(self.now(), self.schedule())
            })
            .await?;
        info!(
            %key,
            account = %passed.account(),
            state = passed.status().state.name(),
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
        let names = self.store.account_names().await?.names;
        // Every record carries a name that the identity knows: see `store/identity.rs`.
        if names.iter().any(|name| self.upstream(name).is_none()) {
            let unresolved = unresolved::count(&*self.store).await?;
            let unconfigured = unresolved
                .by_account
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

    /// Sees a version due at these times; returns what came of the last one.
    fn see(aside: &SetAside, version: u64, times: &[i64]) -> Turn {
        let turns = times
            .iter()
            .map(|seconds| aside.turn(&key(1), version, at(*seconds), GRACE));
        turns.last().unwrap()
    }

    #[test]
    fn what_stays_due_is_passed_over_after_the_grace() {
        let aside = SetAside::default();
        let times = [0, 100, 200, 300, 400, 500, 599];
        assert_eq!(see(&aside, 1, &times), Turn::Leave);
        assert_eq!(see(&aside, 1, &[600]), Turn::PassOver);
        assert_eq!(see(&aside, 1, &[601]), Turn::Leave, "it starts again");
    }

    #[test]
    fn what_another_gateway_takes_begins_anew() {
        let aside = SetAside::default();
        assert_eq!(see(&aside, 1, &[0, 150, 300, 450]), Turn::Leave);
        assert_eq!(see(&aside, 2, &[600, 750, 900, 1050]), Turn::Leave);
        assert_eq!(see(&aside, 2, &[1200]), Turn::PassOver);
    }

    #[test]
    fn a_time_without_looks_does_not_count() {
        let aside = SetAside::default();
        assert_eq!(see(&aside, 1, &[0, 150, 300, 100_000]), Turn::Leave);
        let aside = SetAside::default();
        assert_eq!(see(&aside, 1, &[0, 150, 300, 450]), Turn::Leave);
        aside.forget();
        assert_eq!(see(&aside, 1, &[600]), Turn::Leave);
    }

    #[test]
    fn what_finds_no_room_is_left_alone_until_there_is_room() {
        let aside = SetAside::default();
        let turn = |number, seconds| aside.turn(&key(number), 1, at(seconds), GRACE);
        for number in 0..SET_ASIDE_MAX {
            assert_eq!(turn(number, 0), Turn::Leave);
        }
        for seconds in [1, 150, 300, 450, 600] {
            assert_eq!(turn(SET_ASIDE_MAX, seconds), Turn::Leave, "{seconds}");
        }
        // The others were not seen for longer than the grace: there is room.
        for seconds in [601, 751, 901, 1051] {
            assert_eq!(turn(SET_ASIDE_MAX, seconds), Turn::Leave, "{seconds}");
        }
        assert_eq!(turn(SET_ASIDE_MAX, 1201), Turn::PassOver);
    }
}
