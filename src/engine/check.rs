//! A status check of a transaction that is due (promises 11 and 16).

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{Instrument, debug, info_span};

use super::{Engine, Upstream, wait::leave_before};
use crate::{
    store::{Due, DueCheck, Lease, StoreError, Unindexed, inquiries},
    telemetry::link,
    transaction::{AccountName, InquiriesMade, LeaseToken, Transaction, TransactionKey},
};

/// What a lease allows beyond the upstream time-out.
const LEASE_EXTRA: Duration = Duration::from_secs(10);

/// What a caller that asks for a check allows beyond the upstream time-out.
const CHECK_NOW_EXTRA: Duration = Duration::from_secs(10);

/// A transaction after a check that a caller asked for.
#[derive(Debug)]
pub struct Checked {
    /// As it stands now.
    pub transaction: Arc<Transaction>,
    /// OKEBAYAR was asked meanwhile.
    pub was_asked: bool,
}

/// A check whose lease this process holds.
#[derive(Debug)]
pub struct LeasedCheck {
    /// The transaction as it was when the lease began.
    transaction: Arc<Transaction>,
    lease: Lease,
    /// When it began, by both clocks: either may stand still where the other does not.
    began: (Timestamp, Instant),
}

impl LeasedCheck {
    /// True when another process may hold the lease by now.
    fn has_ended(&self, now: Timestamp) -> bool {
        let (began_at, began) = self.began;
        let by_wall_clock = Duration::try_from(now.duration_since(began_at));
        began.elapsed() >= self.lease.lasts
            || by_wall_clock.is_ok_and(|passed| passed >= self.lease.lasts)
    }
}

impl Engine {
    /// Has OKEBAYAR asked about a transaction now, and waits for that: one check for
    /// all who ask at the same time, and no sooner after another than a callback's.
    /// `None` when there is no such transaction.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn check_now(
        &self,
        key: &TransactionKey,
        caller_deadline: Option<Instant>,
    ) -> Result<Option<Checked>, StoreError> {
        let mut updates = self.hub.subscribe(key);
        let Some(current) = self.store.load(key).await? else {
            return Ok(None);
        };
        let upstream = self.upstreams.get(key.account());
        let (true, Some(upstream)) = (
            current.may_be_checked(self.now(), self.schedule()),
            upstream,
        ) else {
            return Ok(Some(Checked {
                transaction: current,
                was_asked: false,
            }));
        };
        let last = current.last_checked_at();
        let ask = |current: &Transaction| {
            let is_newer = current.last_checked_at() > last;
            if is_newer {
                None
            } else {
                current.ask_check(self.now(), self.schedule())
            }
        };
        let asked = self.update(current, ask).await?;
        let deadline = caller_deadline.map_or_else(
            || Instant::now() + upstream.timeout + CHECK_NOW_EXTRA,
            leave_before,
        );
        let is_over = |newest: &Transaction, stopping| stopping || newest.last_checked_at() > last;
        let transaction = self
            .wait_until(&mut updates, asked, deadline, is_over)
            .await?;
        let was_asked = transaction.last_checked_at() > last;
        Ok(Some(Checked {
            transaction,
            was_asked,
        }))
    }

    /// Waits until something may have become due.
    pub async fn something_due(&self) {
        self.due.notified().await;
    }

    /// The accounts whose transactions this gateway can check.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountName> {
        self.upstreams.keys().cloned().collect()
    }

    /// The checks that are due now, up to about `limit` of each account and kind.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.store.due(self.now(), &self.accounts(), limit).await
    }

    /// A page of the due transactions that [`Engine::due`] does not find.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn unindexed(&self, page: usize) -> Result<Unindexed, StoreError> {
        let accounts = self.accounts();
        self.store.unindexed(self.now(), &accounts, page).await
    }

    /// The check of such a transaction; `None` when this gateway cannot make it. It then
    /// takes no lease: another gateway may have the account.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn place(&self, key: &TransactionKey) -> Result<Option<DueCheck>, StoreError> {
        let Some(due) = self.store.load(key).await? else {
            return Ok(None);
        };
        if !self.has_account(due.account()) {
            debug!(%key, account = %due.account(), "a transaction is due, but its account is not configured");
            return Ok(None);
        }
        let now = self.now();
        Ok(Some(DueCheck {
            key: key.clone(),
            account: due.account().clone(),
            is_asked: due.asked_at().is_some_and(|asked| asked <= now),
        }))
    }

    /// Acquires the lease on a due check; `None` when another process holds it, or when
    /// it is no longer due.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer; a lease that was acquired all the
    /// same runs out, and the check is due again.
    pub async fn lease_due(&self, check: &DueCheck) -> Result<Option<LeasedCheck>, StoreError> {
        let Some(upstream) = self.upstreams.get(&check.account) else {
            return Ok(None);
        };
        let lease = Lease {
            token: LeaseToken::new((self.ambient.random)()),
            lasts: upstream.timeout + LEASE_EXTRA,
        };
        // Before the store counts it, so that this process sees its end first.
        let began = (self.now(), Instant::now());
        let leased = self.store.lease_check(check, began.0, lease).await?;
        Ok(leased.map(|transaction| LeasedCheck {
            transaction,
            lease,
            began,
        }))
    }

    /// Makes a check, and releases its lease together with what it brought.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer; the lease then runs out, and
    /// the check is due again.
    pub async fn check_leased(&self, leased: LeasedCheck) -> Result<(), StoreError> {
        let due = &leased.transaction;
        let Some(upstream) = self.upstreams.get(due.account()) else {
            return Ok(());
        };
        let span = info_span!(
            "check",
            okebayar.account = %due.account(),
            okebayar.referencecode = %due.reference_code(),
        );
        link(&span, due.trace());
        self.ask_about(&leased, upstream).instrument(span).await
    }

    /// The inquiries made under its reference code. Where a transaction is held back the
    /// store may have forgotten one as well: any answer may be that one's.
    pub(super) async fn inquired(&self, about: &Transaction) -> Result<InquiriesMade, StoreError> {
        let mut inquired = inquiries::inquired(&*self.store, &about.key()).await?;
        if !about.held_back().is_empty() {
            inquired.note("forgotten", None);
        }
        Ok(inquired)
    }

    /// Asks OKEBAYAR about a transaction, and adds what it says.
    async fn ask_about(&self, leased: &LeasedCheck, upstream: &Upstream) -> Result<(), StoreError> {
        let (due, token) = (Arc::clone(&leased.transaction), leased.lease.token);
        let key = due.key();
        if self.schedule().is_too_old(due.armed_at(), self.now()) {
            let give_up = |current: &Transaction| {
                let given_up = current.give_up(self.now(), self.schedule())?;
                Some(given_up.releasing(token))
            };
            self.update(due, give_up).await?;
            return Ok(());
        }
        let inquired = self.inquired(&due).await?;
        let said = match upstream.client.check(&due, &inquired).await {
            Ok(statement) => {
                self.metrics().check(due.account(), "learnt");
                Some(self.weigh(&due, statement).await?)
            }
            Err(nothing) => {
                self.metrics().check(due.account(), nothing.kind());
                debug!(%key, %nothing, "a status check brought nothing");
                None
            }
        };
        let observe = |current: &Transaction| {
            let now = self.now();
            // Rules about time count from when an answer is stored, so one that waited
            // longer than its lease proves nothing; the next check asks again.
            let said = said.clone().filter(|_| !leased.has_ended(now));
            let checked = current.observe_check_since(&due, said, now, self.schedule());
            Some(checked.releasing(token))
        };
        self.update(Arc::clone(&due), observe).await?;
        Ok(())
    }
}
