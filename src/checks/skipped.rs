//! The due checks that this process leaves to other gateways.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::transaction::TransactionKey;

/// How many are set aside at once. Further ones are left until there is room: nothing is
/// changed that was not seen due for the whole grace.
const SKIPPED_MAX: usize = 4096;

/// In how many parts the grace is counted at least: a sight counts for no more than one,
/// however long ago the last one was.
const LOOKS_MIN: i32 = 4;

/// The transactions that are left to other gateways, and for how long they were seen due.
#[derive(Default)]
pub struct SkippedChecks(Mutex<BTreeMap<TransactionKey, Seen>>);

/// A transaction that was seen due.
struct Seen {
    /// Another version means that another process leased or settled it.
    version: u64,
    due_for: SignedDuration,
    last: Timestamp,
}

/// What to do about a due transaction that cannot be checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Leave it to a gateway that has the account.
    Leave,
    /// Move the schedule on, or end it.
    PassOver,
}

impl SkippedChecks {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<TransactionKey, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts again: the store did not return what is due.
    pub(super) fn forget(&self) {
        self.seen().clear();
    }

    /// Notes that a version of a transaction is due now.
    pub(super) fn turn(
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
        if all.len() >= SKIPPED_MAX && !all.contains_key(key) {
            all.retain(|_, seen| now.duration_since(seen.last) <= grace);
            if all.len() >= SKIPPED_MAX {
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
    fn see(aside: &SkippedChecks, version: u64, times: &[i64]) -> Turn {
        let turns = times
            .iter()
            .map(|seconds| aside.turn(&key(1), version, at(*seconds), GRACE));
        turns.last().unwrap()
    }

    #[test]
    fn what_stays_due_is_passed_over_after_the_grace() {
        let aside = SkippedChecks::default();
        let times = [0, 100, 200, 300, 400, 500, 599];
        assert_eq!(see(&aside, 1, &times), Turn::Leave);
        assert_eq!(see(&aside, 1, &[600]), Turn::PassOver);
        assert_eq!(see(&aside, 1, &[601]), Turn::Leave, "it starts again");
    }

    #[test]
    fn what_another_gateway_takes_begins_anew() {
        let aside = SkippedChecks::default();
        assert_eq!(see(&aside, 1, &[0, 150, 300, 450]), Turn::Leave);
        assert_eq!(see(&aside, 2, &[600, 750, 900, 1050]), Turn::Leave);
        assert_eq!(see(&aside, 2, &[1200]), Turn::PassOver);
    }

    #[test]
    fn a_time_without_looks_does_not_count() {
        let aside = SkippedChecks::default();
        assert_eq!(see(&aside, 1, &[0, 150, 300, 100_000]), Turn::Leave);
        let aside = SkippedChecks::default();
        assert_eq!(see(&aside, 1, &[0, 150, 300, 450]), Turn::Leave);
        aside.forget();
        assert_eq!(see(&aside, 1, &[600]), Turn::Leave);
    }

    #[test]
    fn what_finds_no_room_is_left_alone_until_there_is_room() {
        let aside = SkippedChecks::default();
        let turn = |number, seconds| aside.turn(&key(number), 1, at(seconds), GRACE);
        for number in 0..SKIPPED_MAX {
            assert_eq!(turn(number, 0), Turn::Leave);
        }
        for seconds in [1, 150, 300, 450, 600] {
            assert_eq!(turn(SKIPPED_MAX, seconds), Turn::Leave, "{seconds}");
        }
        // The others were not seen for longer than the grace: there is room.
        for seconds in [601, 751, 901, 1051] {
            assert_eq!(turn(SKIPPED_MAX, seconds), Turn::Leave, "{seconds}");
        }
        assert_eq!(turn(SKIPPED_MAX, 1201), Turn::PassOver);
    }
}
