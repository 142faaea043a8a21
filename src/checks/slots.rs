//! The slots of concurrent status checks, shared by kinds of checks and accounts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{store::DueCheck, transaction::AccountName};

/// The number of concurrent status checks.
#[derive(Clone, Copy, Debug)]
pub struct Concurrency {
    /// The number of slots when few checks are due.
    pub least: usize,
    /// The number of slots when many checks are due.
    pub most: usize,
}

/// The number of due checks for each slot.
const DUE_PER_SLOT: u64 = 16;

impl Concurrency {
    /// Returns the number of slots while `due` checks are due.
    pub(super) fn slots(self, due: u64) -> usize {
        let wanted = usize::try_from(due / DUE_PER_SLOT).unwrap_or(usize::MAX);
        wanted.clamp(self.least, self.most.max(self.least))
    }
}

/// Each kind of check leaves one slot in this many to the other kind, and at least one.
const LEFT_TO_OTHER_KIND: usize = 8;

/// Returns the number of slots for checks of one kind.
fn kind_max(slots: usize) -> usize {
    if slots < 2 {
        slots
    } else {
        slots - (slots / LEFT_TO_OTHER_KIND).max(1)
    }
}

/// Returns the number of slots for checks of one account: half, if there are other accounts.
fn account_max(slots: usize, accounts: usize) -> usize {
    if accounts < 2 {
        slots
    } else {
        slots.div_ceil(2)
    }
}

/// The number of checks in flight, by kind and account.
#[derive(Debug, Default)]
pub(super) struct RunningChecks {
    asked: usize,
    scheduled: usize,
    accounts: HashMap<AccountName, usize>,
}

impl RunningChecks {
    pub(super) fn count(&self) -> usize {
        self.asked + self.scheduled
    }

    /// Returns the count of one kind.
    fn of_kind(&mut self, is_asked: bool) -> &mut usize {
        if is_asked {
            &mut self.asked
        } else {
            &mut self.scheduled
        }
    }

    /// Counts a check in, if its kind and account have a slot left; returns false otherwise.
    pub(super) fn begin(
        &mut self,
        check: &DueCheck,
        account: &AccountName,
        slots: usize,
        accounts: usize,
    ) -> bool {
        let of_account = self.accounts.get(account).copied().unwrap_or(0);
        let has_room = self.count() < slots
            && *self.of_kind(check.is_asked) < kind_max(slots)
            && of_account < account_max(slots, accounts);
        if has_room {
            *self.of_kind(check.is_asked) += 1;
            self.accounts.insert(account.clone(), of_account + 1);
        }
        has_room
    }

    /// Counts a check out.
    fn end(&mut self, check: &DueCheck, account: &AccountName) {
        let of_kind = self.of_kind(check.is_asked);
        *of_kind = of_kind.saturating_sub(1);
        if let Some(of_account) = self.accounts.get_mut(account) {
            *of_account = of_account.saturating_sub(1);
        }
    }
}

/// The slots of the checks in flight.
#[derive(Default)]
pub(super) struct Slots {
    running: Mutex<RunningChecks>,
    /// Notified when a slot becomes free.
    pub(super) freed: Notify,
}

impl Slots {
    pub(super) fn running(&self) -> MutexGuard<'_, RunningChecks> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An acquired slot. Dropping it after the check releases it.
pub(super) struct Slot {
    pub(super) slots: Arc<Slots>,
    pub(super) check: DueCheck,
    /// The present name of its account; the record may carry a former one.
    pub(super) account: AccountName,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.running().end(&self.check, &self.account);
        self.slots.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::{ReferenceCode, TransactionKey};

    fn check(account: &str, is_asked: bool) -> DueCheck {
        let account = AccountName::parse(account).unwrap();
        let reference = ReferenceCode::parse("reference-1").unwrap();
        DueCheck {
            key: TransactionKey::new(&reference),
            account,
            is_asked,
        }
    }

    /// Returns how many checks like this one get a slot.
    fn begun(
        running: &mut RunningChecks,
        check: &DueCheck,
        slots: usize,
        accounts: usize,
    ) -> usize {
        let begin = |_: &usize| running.begin(check, &check.account, slots, accounts);
        (0..1000).take_while(begin).count()
    }

    #[test]
    fn slots_grow_with_what_is_due_between_both_limits() {
        let concurrency = Concurrency { least: 8, most: 64 };
        let slots = |due| concurrency.slots(due);
        assert_eq!((slots(0), slots(128), slots(400)), (8, 8, 25));
        assert_eq!((slots(1024), slots(u64::MAX)), (64, 64));
        let most_below_least = Concurrency { least: 8, most: 4 };
        assert_eq!(most_below_least.slots(1000), 8);
    }

    #[test]
    fn each_kind_of_check_leaves_slots_to_the_other() {
        for first in [true, false] {
            let mut running = RunningChecks::default();
            assert_eq!(begun(&mut running, &check("main", first), 64, 1), 56);
            assert_eq!(begun(&mut running, &check("main", !first), 64, 1), 8);
        }
        let mut running = RunningChecks::default();
        let asked = check("main", true);
        assert_eq!(
            begun(&mut running, &asked, 1, 1),
            1,
            "both kinds share one slot"
        );
        running.end(&asked, &asked.account);
        assert_eq!(begun(&mut running, &check("main", false), 1, 1), 1);
    }

    #[test]
    fn an_account_takes_at_most_half_of_the_slots_from_others() {
        let mut running = RunningChecks::default();
        assert_eq!(begun(&mut running, &check("slow", false), 8, 2), 4);
        assert_eq!(begun(&mut running, &check("other", false), 8, 2), 3);
        assert_eq!(begun(&mut running, &check("other", true), 8, 2), 1);
        let slow = check("slow", false);
        running.end(&slow, &slow.account);
        assert_eq!(begun(&mut running, &check("slow", false), 8, 2), 1);
    }
}
