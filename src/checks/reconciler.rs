//! The reconciler: it finds due status checks and makes them, including those of a process that has
//! died (promise 11).
//!
//! It leases only as many checks as it has slots, whose number grows with the number of due checks.
//! Checks requested by callbacks and callers come first. But each kind of check leaves some slots
//! to the other, and each account leaves some to the other accounts, so that neither a flood of
//! requests nor a slow OKEBAYAR starves the rest.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{checks::Checks, lease::LeasedCheck};
use crate::{
    store::{DueCheck, StoreError},
    transaction::{AccountName, TransactionKey},
};

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
    fn slots(self, due: u64) -> usize {
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
struct RunningChecks {
    asked: usize,
    scheduled: usize,
    accounts: HashMap<AccountName, usize>,
}

impl RunningChecks {
    fn count(&self) -> usize {
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
    fn begin(
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
struct Slots {
    running: Mutex<RunningChecks>,
    /// Notified when a slot becomes free.
    freed: Notify,
}

impl Slots {
    fn running(&self) -> MutexGuard<'_, RunningChecks> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An acquired slot. Dropping it after the check releases it.
struct Slot {
    slots: Arc<Slots>,
    check: DueCheck,
    /// The present name of its account; the record may carry a former one.
    account: AccountName,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.running().end(&self.check, &self.account);
        self.slots.freed.notify_one();
    }
}

/// The shortest pause between two polls of the store, and the shortest as a multiple of the time
/// that the last poll took.
const POLL_PAUSE_MIN: Duration = Duration::from_millis(50);
const POLL_PAUSE_FACTOR: u32 = 4;
/// The number of transactions outside the accounts' indexes that are loaded in one poll.
const UNINDEXED_MAX: usize = 64;

/// The state of the reconciler's loop.
struct Reconciler {
    checks: Arc<Checks>,
    concurrency: Concurrency,
    poll_interval: Duration,
    stopping: CancellationToken,
    slots: Arc<Slots>,
    slots_now: usize,
    /// The due checks that have no slot yet.
    waiting: VecDeque<DueCheck>,
    /// More checks are due than `waiting` holds.
    is_more_due: bool,
    /// The due transactions that no index of this gateway's accounts holds.
    unindexed: VecDeque<TransactionKey>,
    /// The next page of them.
    unindexed_page: usize,
    unindexed_read_at: Option<Instant>,
    store_answers: bool,
}

/// Runs the reconciler until `stopping`. Checks in flight are finished as tasks of the gateway.
pub async fn run(
    checks: Arc<Checks>,
    concurrency: Concurrency,
    poll_interval: Duration,
    stopping: CancellationToken,
) {
    let mut reconciler = Reconciler {
        checks,
        concurrency,
        poll_interval,
        stopping,
        slots: Arc::default(),
        slots_now: concurrency.least,
        waiting: VecDeque::new(),
        is_more_due: false,
        unindexed: VecDeque::new(),
        unindexed_page: 0,
        unindexed_read_at: None,
        store_answers: true,
    };
    while !reconciler.stopping.is_cancelled() {
        let began = Instant::now();
        let found = reconciler.find_due().await;
        reconciler.log_store_failure(&found);
        let ended = Instant::now();
        let pause = ((ended - began) * POLL_PAUSE_FACTOR).max(POLL_PAUSE_MIN);
        reconciler.run_waiting(ended + pause).await;
    }
}

impl Reconciler {
    /// Finds the checks that are due now.
    async fn find_due(&mut self) -> Result<(), StoreError> {
        self.waiting.clear();
        self.is_more_due = false;
        let due = self.checks.due(self.concurrency.most).await?;
        self.slots_now = self.concurrency.slots(due.count);
        self.is_more_due = due.count > due.checks.len() as u64;
        self.waiting.extend(due.checks);
        let running = self.slots.running().count();
        self.checks.metrics.checks_at_work(due.count, running);
        self.find_unindexed().await
    }

    /// Loads some of the due transactions that no index of this gateway's accounts holds, once in
    /// each poll interval: an earlier release stored them, or their account is not configured.
    async fn find_unindexed(&mut self) -> Result<(), StoreError> {
        let read_at = self.unindexed_read_at;
        if read_at.is_some_and(|read_at| read_at.elapsed() < self.poll_interval) {
            return Ok(());
        }
        self.unindexed_read_at = Some(Instant::now());
        if self.unindexed.is_empty() {
            let found = self.checks.unindexed(self.unindexed_page).await?;
            self.unindexed_page = if found.is_last {
                0
            } else {
                self.unindexed_page + 1
            };
            self.unindexed.extend(found.keys);
        }
        for _ in 0..UNINDEXED_MAX {
            let Some(key) = self.unindexed.pop_front() else {
                break;
            };
            match self.checks.load_due(&key).await {
                Ok(Some(check)) if check.is_asked => self.waiting.push_front(check),
                Ok(Some(check)) => self.waiting.push_back(check),
                Ok(None) => {}
                Err(error @ StoreError::Corrupt { .. }) => {
                    warn!(%key, %error, "due transaction unreadable");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Logs a failure of the store once, not at every poll.
    fn log_store_failure(&mut self, found: &Result<(), StoreError>) {
        if let (Err(error), true) = (found, self.store_answers) {
            warn!(%error, "due transactions unreadable; retrying at the next poll");
        }
        self.store_answers = found.is_ok();
    }

    /// Begins waiting checks as slots become free, until the next poll: at `earliest` if more
    /// checks may be due, otherwise after the poll interval.
    async fn run_waiting(&mut self, earliest: Instant) {
        let latest = earliest.max(Instant::now() + self.poll_interval);
        let mut is_poll_wanted = false;
        loop {
            self.begin_checks().await;
            is_poll_wanted |= self.waiting.is_empty() && self.is_more_due;
            let until = if is_poll_wanted { earliest } else { latest };
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
                () = self.checks.ledger.due_changed(), if !is_poll_wanted => is_poll_wanted = true,
                () = self.slots.freed.notified(), if !self.waiting.is_empty() => {}
            }
        }
    }

    /// Begins the waiting checks that get a slot. The others keep waiting.
    async fn begin_checks(&mut self) {
        let accounts = self.checks.accounts.count();
        let mut without_slot = VecDeque::new();
        while !self.stopping.is_cancelled()
            && self.slots.running().count() < self.slots_now
            && let Some(check) = self.waiting.pop_front()
        {
            let account = self.checks.accounts.present_name(&check.account).clone();
            let has_slot = self
                .slots
                .running()
                .begin(&check, &account, self.slots_now, accounts);
            if !has_slot {
                without_slot.push_back(check);
                continue;
            }
            let slot = Slot {
                slots: Arc::clone(&self.slots),
                check,
                account,
            };
            match self.checks.lease_due(&slot.check).await {
                Ok(Some(leased)) => self.spawn(slot, leased),
                // Another replica holds the lease, or it is no longer due.
                Ok(None) => {}
                Err(error @ StoreError::Corrupt { .. }) => {
                    warn!(key = %slot.check.key, %error, "due transaction unreadable");
                }
                failed @ Err(_) => {
                    self.log_store_failure(&failed.map(drop));
                    self.is_more_due = false;
                    self.waiting.clear();
                    return;
                }
            }
        }
        without_slot.append(&mut self.waiting);
        self.waiting = without_slot;
    }

    /// Makes a leased check in a task of its own.
    fn spawn(&self, slot: Slot, leased: LeasedCheck) {
        let checks = Arc::clone(&self.checks);
        self.checks.tasks.spawn(async move {
            let key = slot.check.key.clone();
            if let Err(error) = checks.check_leased(leased).await {
                warn!(%key, %error, "status check not stored; due again when its lease expires");
            }
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::ReferenceCode;

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
