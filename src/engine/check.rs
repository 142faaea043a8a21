//! A status check of a transaction that is due (promises 11 and 16).

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{Instrument, debug, info_span};

use super::{
    Engine, Upstream,
    wait::{Waited, leave_before},
};
use crate::{
    okebayar::client::NothingLearnt,
    store::{StoreError, inquiries},
    telemetry::link,
    transaction::{Finding, InquiriesMade, Named, Statement, Transaction, TransactionKey},
};

/// What a lease allows beyond the upstream time-out.
const LEASE_EXTRA: Duration = Duration::from_secs(10);
/// How long a due time without a record is left alone.
const NO_RECORD_PAUSE: Duration = Duration::from_hours(1);

/// What a caller that asks for a check allows beyond the upstream time-out.
const CHECK_NOW_EXTRA: Duration = Duration::from_secs(10);

/// Why a caller is not told what a check brought.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Too many callers wait at once.
    #[error("too many callers are waiting for an outcome")]
    TooManyWaiting,
    /// The store held the transaction, and no longer does.
    #[error("the store has lost the transaction")]
    Lost,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A transaction after a check that a caller asked for.
#[derive(Debug)]
pub struct Checked {
    /// As it stands now.
    pub transaction: Arc<Transaction>,
    /// OKEBAYAR was asked meanwhile.
    pub was_asked: bool,
}

impl Engine {
    /// Has OKEBAYAR asked about a transaction now, and waits for that: one check for
    /// all who ask at the same time, and no sooner after another than a callback's.
    /// `None` when there is no such transaction.
    ///
    /// # Errors
    /// [`CheckError`] when the store does not answer, or too many callers wait.
    pub async fn check_now(
        &self,
        named: &Named,
        caller_deadline: Option<Instant>,
    ) -> Result<Option<Checked>, CheckError> {
        let _waiter = self.admit_waiter().ok_or(CheckError::TooManyWaiting)?;
        let mut updates = self.hub.subscribe(&named.key);
        let Some(current) = self.load(named).await? else {
            return Ok(None);
        };
        let upstream = self.upstream(current.account());
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
            // It may have been armed again since it was read.
            let may_be_checked = current.may_be_checked(self.now(), self.schedule());
            if is_newer || !may_be_checked {
                None
            } else {
                current.ask_check(self.now(), self.schedule())
            }
        };
        let asked = self.update(current, ask).await?;
        let is_checked = asked.last_checked_at() > last;
        if !is_checked && !asked.may_be_checked(self.now(), self.schedule()) {
            return Ok(Some(Checked {
                transaction: asked,
                was_asked: false,
            }));
        }
        let deadline = caller_deadline.map_or_else(
            || Instant::now() + upstream.timeout + CHECK_NOW_EXTRA,
            leave_before,
        );
        let is_over = |newest: &Transaction, stopping| stopping || newest.last_checked_at() > last;
        let waited = self
            .wait_until(&mut updates, asked, deadline, is_over, false)
            .await?;
        let transaction = match waited {
            Waited::Known(transaction) | Waited::WentBack(Some(transaction)) => transaction,
            Waited::WentBack(None) => return Err(CheckError::Lost),
        };
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

    /// The transactions that are due now, longest due first.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn due(&self, limit: usize) -> Result<Vec<TransactionKey>, StoreError> {
        let now = self.now();
        let looked_up = self.store.due(now, limit + self.set_aside.count()).await;
        match looked_up {
            Ok(due) => {
                let grace = self.schedule().unconfigured_grace;
                Ok(self.set_aside.filter(due, now, grace))
            }
            Err(error) => {
                self.set_aside.forget();
                Err(error)
            }
        }
    }

    /// Checks one due transaction, unless somebody else is at it.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer; the lease then runs out, and
    /// the check is due again.
    pub async fn check_due(&self, key: &TransactionKey) -> Result<(), StoreError> {
        let known = self.store.load(key).await?;
        let upstream = known
            .as_ref()
            .and_then(|known| self.upstream(known.account()));
        if let (Some(known), None) = (&known, upstream) {
            return self.pass_over(Arc::clone(known)).await;
        }
        let timeout = upstream.map_or(NO_RECORD_PAUSE, |upstream| upstream.timeout);
        let now = self.now();
        let until = now.checked_add(timeout + LEASE_EXTRA).unwrap_or(now);
        if !self.store.lease_check(key, now, until).await? {
            return Ok(());
        }
        // Another gateway may have made the check before this one got the lease.
        let (Some(upstream), Some(due)) = (upstream, self.store.load(key).await?) else {
            return Ok(());
        };
        let span = info_span!(
            "check",
            okebayar.account = %due.account(),
            okebayar.referencecode = %due.reference_code(),
        );
        link(&span, due.trace());
        self.check_leased(due, upstream).instrument(span).await
    }

    /// The inquiries made under its reference code. Where a transaction is held back the
    /// store may have forgotten one as well: any answer may be that one's.
    pub(super) async fn inquired(&self, about: &Transaction) -> Result<InquiriesMade, StoreError> {
        let mut inquired = inquiries::inquired(&*self.store, &about.key()).await?;
        if !about.held_back().is_empty() {
            inquired.note_forgotten();
        }
        Ok(inquired)
    }

    /// Asks OKEBAYAR about a transaction, and adds what it says.
    async fn check_leased(
        &self,
        due: Arc<Transaction>,
        upstream: &Upstream,
    ) -> Result<(), StoreError> {
        let (key, now) = (due.key(), self.now());
        let account = self.names.current(due.account()).clone();
        // An earlier release lets a callback ask for a check at once. The due index counts in
        // milliseconds.
        let is_early = |until: Timestamp| now.as_millisecond() < until.as_millisecond();
        if due.sending_until(self.schedule()).is_some_and(is_early) {
            debug!(%key, "a status check waits until the POST is over");
            return Ok(());
        }
        if due.is_too_old(now, self.schedule()) {
            let give_up = |current: &Transaction| current.give_up(self.now(), self.schedule());
            self.update(due, give_up).await?;
            return Ok(());
        }
        let inquired = self.inquired(&due).await?;
        let asked = due.token();
        let mut is_absent = false;
        let said = match upstream.client.check(&due, &inquired).await {
            Ok(statement) => {
                self.metrics().check(&account, "learnt");
                Some(self.weigh(&due, statement).await?)
            }
            Err(nothing) => {
                self.metrics().check(&account, nothing.kind());
                debug!(%key, %nothing, "a status check brought nothing");
                is_absent = matches!(nothing, NothingLearnt::NoSign(_));
                None
            }
        };
        let observe = |current: &Transaction| {
            let (now, schedule) = (self.now(), self.schedule());
            // That one attempt is not known says nothing of a later one.
            let is_of_asked = current.token() == asked;
            let is_stale = |said: &Statement| !is_of_asked && said.finding == Finding::NotReceived;
            Some(if is_absent && is_of_asked {
                current.observe_absence(now, schedule)
            } else {
                let said = said.clone().filter(|said| !is_stale(said));
                current.observe_check(said, now, schedule)
            })
        };
        self.update(due, observe).await?;
        Ok(())
    }
}
