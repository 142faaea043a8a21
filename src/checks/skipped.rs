//! The due checks that this process leaves to other gateways.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::transaction::TransactionKey;

/// The number of transactions that are tracked at once. Further ones are left alone until there is
/// room: no transaction is changed that was not seen due for the whole grace period.
const SKIPPED_MAX: usize = 4096;

/// The smallest number of sightings that make up a grace period: each counts for at most an equal
/// part of it, however long ago the last one was.
const SIGHTINGS_MIN: i32 = 4;

/// The due checks that are left to other gateways, and the time for which each was seen due.
#[derive(Default)]
pub struct SkippedChecks(Mutex<BTreeMap<TransactionKey, Sighting>>);

/// The sightings of a transaction that is due.
struct Sighting {
    /// The version of the record. It changes when another process leases or settles the
    /// transaction.
    version: u64,
    due_for: SignedDuration,
    last: Timestamp,
}

/// The decision about a due transaction that this gateway cannot check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SkipDecision {
    /// Leave it to a gateway that has the account.
    Leave,
    /// Advance the schedule, or end it.
    PassOver,
}

impl SkippedChecks {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<TransactionKey, Sighting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Discards all sightings, because the store failed to return the due transactions.
    pub(super) fn forget(&self) {
        self.seen().clear();
    }

    /// Records that a version of a transaction is due now, and decides about it.
    pub(super) fn record_due(
        &self,
        key: &TransactionKey,
        version: u64,
        now: Timestamp,
        grace: SignedDuration,
    ) -> SkipDecision {
        let mut all = self.seen();
        if let Some(sighting) = all.get_mut(key)
            && sighting.version == version
        {
            let gap = now.duration_since(sighting.last);
            let counted = gap.clamp(SignedDuration::ZERO, grace / SIGHTINGS_MIN);
            sighting.due_for = sighting.due_for.saturating_add(counted);
            sighting.last = now;
            if sighting.due_for < grace {
                return SkipDecision::Leave;
            }
            all.remove(key);
            return SkipDecision::PassOver;
        }
        if all.len() >= SKIPPED_MAX && !all.contains_key(key) {
            all.retain(|_, sighting| now.duration_since(sighting.last) <= grace);
            if all.len() >= SKIPPED_MAX {
                return SkipDecision::Leave;
            }
        }
        let sighting = Sighting {
            version,
            due_for: SignedDuration::ZERO,
            last: now,
        };
        all.insert(key.clone(), sighting);
        SkipDecision::Leave
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

    /// Records a version as due at these times; returns the last decision.
    fn see(skipped: &SkippedChecks, version: u64, times: &[i64]) -> SkipDecision {
        let decisions = times
            .iter()
            .map(|seconds| skipped.record_due(&key(1), version, at(*seconds), GRACE));
        decisions.last().unwrap()
    }

    #[test]
    fn due_transaction_is_passed_over_after_the_grace_period() {
        let skipped = SkippedChecks::default();
        let times = [0, 100, 200, 300, 400, 500, 599];
        assert_eq!(see(&skipped, 1, &times), SkipDecision::Leave);
        assert_eq!(see(&skipped, 1, &[600]), SkipDecision::PassOver);
        assert_eq!(
            see(&skipped, 1, &[601]),
            SkipDecision::Leave,
            "the grace period restarts"
        );
    }

    #[test]
    fn grace_period_restarts_when_another_gateway_leases_transaction() {
        let skipped = SkippedChecks::default();
        assert_eq!(see(&skipped, 1, &[0, 150, 300, 450]), SkipDecision::Leave);
        assert_eq!(
            see(&skipped, 2, &[600, 750, 900, 1050]),
            SkipDecision::Leave
        );
        assert_eq!(see(&skipped, 2, &[1200]), SkipDecision::PassOver);
    }

    #[test]
    fn time_without_sightings_does_not_count() {
        let skipped = SkippedChecks::default();
        assert_eq!(
            see(&skipped, 1, &[0, 150, 300, 100_000]),
            SkipDecision::Leave
        );
        let skipped = SkippedChecks::default();
        assert_eq!(see(&skipped, 1, &[0, 150, 300, 450]), SkipDecision::Leave);
        skipped.forget();
        assert_eq!(see(&skipped, 1, &[600]), SkipDecision::Leave);
    }

    #[test]
    fn untracked_transaction_is_left_alone_until_there_is_room() {
        let skipped = SkippedChecks::default();
        let decide = |number, seconds| skipped.record_due(&key(number), 1, at(seconds), GRACE);
        for number in 0..SKIPPED_MAX {
            assert_eq!(decide(number, 0), SkipDecision::Leave);
        }
        for seconds in [1, 150, 300, 450, 600] {
            assert_eq!(
                decide(SKIPPED_MAX, seconds),
                SkipDecision::Leave,
                "{seconds}"
            );
        }
        // The others were not seen for longer than the grace period, so there is room.
        for seconds in [601, 751, 901, 1051] {
            assert_eq!(
                decide(SKIPPED_MAX, seconds),
                SkipDecision::Leave,
                "{seconds}"
            );
        }
        assert_eq!(decide(SKIPPED_MAX, 1201), SkipDecision::PassOver);
    }
}
