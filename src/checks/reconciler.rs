//! The reconciler: it finds due status checks and makes them, including those of a process that has
//! died (promise 11).
//!
//! It reads the due indexes every poll interval. Meanwhile it begins the checks that commits of its
//! own process make due, at their times, without reading the indexes; so the process that receives
//! a callback or a caller's request makes that check at once.
//!
//! It leases only as many checks as it has slots, whose number grows with the number of due checks.
//! Checks requested by callbacks and callers come first. But each kind of check leaves some slots
//! to the other, and each account leaves some to the other accounts, so that neither a flood of
//! requests nor a slow OKEBAYAR starves the rest.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    checks::Checks,
    lease::LeasedCheck,
    slots::{Concurrency, Slot, Slots},
};
use crate::{
    store::{DueCheck, StoreError},
    transaction::TransactionKey,
};

/// The shortest pause between two polls of the store, and the shortest as a multiple of the time
/// that the last poll took.
const POLL_PAUSE_MIN: Duration = Duration::from_millis(50);
const POLL_PAUSE_FACTOR: u32 = 4;
/// The number of transactions outside the accounts' indexes that are loaded in one poll.
const UNINDEXED_MAX: usize = 64;
/// The number of poll intervals for which checks that become due are kept between two polls. The
/// next poll may take place a little later than one interval from now.
const POLLS_AHEAD: u32 = 2;
/// The most checks that are kept until they are due, and the most that wait for a slot without
/// another poll.
const KEPT_MAX: usize = 1024;

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
    /// The checks that become due before the next poll, by time.
    soon: BTreeMap<(Timestamp, TransactionKey), DueCheck>,
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
        soon: BTreeMap::new(),
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
        // SUBTLE: a check that becomes due by a commit after this read is missing from it. So the
        // commits of this process are followed from before the read.
        self.follow_commits();
        self.waiting.clear();
        self.is_more_due = false;
        let due = self.checks.due(self.concurrency.most).await?;
        self.slots_now = self.concurrency.slots(due.count);
        self.is_more_due = due.count > due.checks.len() as u64;
        self.waiting.extend(due.checks);
        let running = self.slots.running().count();
        self.checks.metrics.checks_at_work(due.count, running);
        if due.is_any_due {
            return self.find_unindexed().await;
        }
        self.unindexed.clear();
        self.unindexed_page = 0;
        Ok(())
    }

    /// Takes over the checks that commits of this process make due before the next poll, and moves
    /// those that are due now to the waiting checks.
    fn follow_commits(&mut self) {
        let now = (self.checks.ambient.now)();
        let ahead = self.poll_interval.saturating_mul(POLLS_AHEAD);
        let until = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
        for (at, check) in self.checks.ledger.take_due_soon(until) {
            self.soon.insert((at, check.key.clone()), check);
            if self.soon.len() > KEPT_MAX {
                self.soon.pop_last();
            }
        }
        while let Some(first) = self.soon.first_entry()
            && first.key().0 <= now
        {
            let check = first.remove();
            self.add_waiting(check);
        }
    }

    /// Adds a check to those that wait for a slot: a requested one after the requested ones, before
    /// the others.
    fn add_waiting(&mut self, check: DueCheck) {
        if self.waiting.iter().any(|waiting| waiting.key == check.key) {
            return;
        }
        if self.waiting.len() >= KEPT_MAX {
            self.is_more_due = true;
            return;
        }
        let is_before = |waiting: &DueCheck| waiting.is_asked || !check.is_asked;
        let index = self.waiting.iter().take_while(|one| is_before(one)).count();
        self.waiting.insert(index, check);
    }

    /// Returns the time at which the next one of the kept checks is due, or `latest` if that is
    /// earlier.
    fn next_due(&self, latest: Instant) -> Instant {
        let Some((at, _)) = self.soon.keys().next() else {
            return latest;
        };
        let left = at.duration_since((self.checks.ambient.now)());
        latest.min(Instant::now() + Duration::try_from(left).unwrap_or_default())
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
                Err(error) if error.is_of_record() => {
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

    /// Begins waiting checks as slots become free, and those that become due meanwhile, until the
    /// next poll: at `earliest` if more checks may be due, otherwise after the poll interval.
    async fn run_waiting(&mut self, earliest: Instant) {
        let latest = earliest.max(Instant::now() + self.poll_interval);
        let mut is_poll_wanted = false;
        loop {
            self.follow_commits();
            is_poll_wanted |= !self.begin_checks().await;
            is_poll_wanted |= self.waiting.is_empty() && self.is_more_due;
            let poll_at = if is_poll_wanted { earliest } else { latest };
            if Instant::now() >= poll_at {
                return;
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep_until(self.next_due(poll_at)) => {}
                () = self.checks.ledger.due_soon_added() => {}
                () = self.slots.freed.notified(), if !self.waiting.is_empty() => {}
            }
        }
    }

    /// Begins the waiting checks that get a slot. The others keep waiting. Returns false when a
    /// check could not be leased, because the store or the part of it that holds the check does not
    /// answer: the others are read again without that part.
    async fn begin_checks(&mut self) -> bool {
        let accounts = self.checks.accounts.count();
        let mut without_slot = VecDeque::new();
        let mut is_answered = true;
        while is_answered
            && !self.stopping.is_cancelled()
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
                Err(error) if error.is_of_record() => {
                    warn!(key = %slot.check.key, %error, "due transaction unreadable");
                }
                failed @ Err(_) => {
                    self.log_store_failure(&failed.map(drop));
                    is_answered = false;
                }
            }
        }
        without_slot.append(&mut self.waiting);
        self.waiting = without_slot;
        is_answered
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
