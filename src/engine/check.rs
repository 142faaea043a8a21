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
    okebayar::{answer_error::AnswerError, verdict},
    store::{Due, DueCheck, Lease, StoreError, Unindexed, inquiries},
    telemetry::link,
    transaction::{
        AccountName, Finding, InquiriesMade, LeaseToken, Named, Transaction, TransactionKey,
    },
};

/// What a lease allows beyond the upstream time-out.
const LEASE_EXTRA: Duration = Duration::from_secs(10);

/// What a caller that asks for a check allows beyond the upstream time-out.
const CHECK_NOW_EXTRA: Duration = Duration::from_secs(10);

/// The reason why a caller is not told what a check brought.
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
    /// Returns true when another process may hold the lease by now.
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

    /// The names, former ones included, under which this gateway can check transactions.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountName> {
        self.names_of(None).cloned().collect()
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
        let found = self.store.unindexed(self.now(), &accounts, page).await;
        found.inspect_err(|_| self.set_aside.forget())
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
        if self.upstream(due.account()).is_none() {
            self.pass_over(due).await?;
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
        let Some(upstream) = self.upstream(&check.account) else {
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
        let Some(upstream) = self.upstream(due.account()) else {
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

    /// Returns the inquiries made under its reference code. Where the store lost what it held of
    /// that, it may have forgotten one as well: any answer may be that one's. Where OKEBAYAR
    /// answered the POST like an inquiry, it made one of it.
    pub(super) async fn inquired(&self, about: &Transaction) -> Result<InquiriesMade, StoreError> {
        let mut inquired = inquiries::inquired(&*self.store, &about.key()).await?;
        if about.follows_loss() {
            inquired.note_forgotten();
        }
        let answers = about.evidence().iter().map(|(said, _)| said);
        for answer in answers.filter(|said| said.is_about_inquiry()) {
            inquired.note_made_of_post(answer.code);
        }
        Ok(inquired)
    }

    /// Asks OKEBAYAR about a transaction, and adds what it says.
    async fn ask_about(&self, leased: &LeasedCheck, upstream: &Upstream) -> Result<(), StoreError> {
        let (due, token) = (Arc::clone(&leased.transaction), leased.lease.token);
        let (key, now) = (due.key(), self.now());
        let account = self.names.current(due.account()).clone();
        // The due index counts in milliseconds.
        let is_early = |until: Timestamp| now.as_millisecond() < until.as_millisecond();
        if due.sending_until(self.schedule()).is_some_and(is_early) {
            debug!(%key, "a status check waits until the POST is over");
            return Ok(());
        }
        if due.is_too_old(now, self.schedule()) {
            let give_up = |current: &Transaction| {
                let given_up = current.give_up(self.now(), self.schedule())?;
                Some(given_up.releasing(token))
            };
            self.update(due, give_up).await?;
            return Ok(());
        }
        let inquired = self.inquired(&due).await?;
        let mut is_absent = false;
        let said = match upstream.client.check(&due, &inquired).await {
            Ok(statement) => {
                self.metrics().check(&account, "learnt");
                Some(self.weigh(&due, statement).await?)
            }
            Err(nothing) => {
                self.metrics().check(&account, nothing.kind());
                debug!(%key, %nothing, "a status check brought nothing");
                is_absent = matches!(nothing, AnswerError::NoSign(_));
                None
            }
        };
        let denies =
            is_absent || matches!(&said, Some(said) if said.finding == Finding::NotReceived);
        let (said, is_absent) = if denies && due.is_held_back() {
            let elsewhere = self.known_elsewhere(&due).await?;
            let said = said.filter(|_| elsewhere == Elsewhere::NotReceived);
            (said, is_absent && elsewhere != Elsewhere::MayBeKnown)
        } else {
            (said, is_absent)
        };
        let observe = |current: &Transaction| {
            let now = self.now();
            // Rules about time count from when an answer is stored, so one that waited
            // longer than its lease proves nothing; the next check asks again.
            let checked = if leased.has_ended(now) {
                current.observe_check_since(&due, None, now, self.schedule())
            } else if is_absent {
                current.observe_absence_since(&due, now, self.schedule())
            } else {
                current.observe_check_since(&due, said.clone(), now, self.schedule())
            };
            Some(checked.releasing(token))
        };
        self.update(Arc::clone(&due), observe).await?;
        Ok(())
    }

    /// Asks the OKEBAYAR of every other account about the reference code of a transaction
    /// that is held back.
    ///
    /// SUBTLE: the store may have lost which account paid:
    /// 1. account A buys the reference code, and the store loses the record;
    /// 2. a caller that names no account, or another one, is held back under account B;
    /// 3. B's OKEBAYAR says that it never received it. A's did.
    ///
    /// So a denial counts only if every account denies it, those included that this gateway
    /// does not have and so cannot ask. The store knows their names; while names are gone that
    /// this gateway saw, and until a verification wrote them again, others may be gone as well.
    ///
    /// Another gateway may know a name that this one never saw, and writes it with its next
    /// verification, within seconds. That is before a denial counts: `checks.not_received_after`
    /// is at least 10 minutes.
    async fn known_elsewhere(&self, about: &Transaction) -> Result<Elsewhere, StoreError> {
        let known = self.store.account_names().await?;
        if !known.is_whole || known.names.iter().any(|name| self.upstream(name).is_none()) {
            return Ok(Elsewhere::MayBeKnown);
        }
        let inquired = inquiries::inquired(&*self.store, &about.key()).await?;
        let own = self.names.current(about.account());
        let mut elsewhere = Elsewhere::NotReceived;
        for (name, upstream) in self.upstreams.iter().filter(|(name, _)| *name != own) {
            let asked = upstream.client.check_unknown(about.reference_code()).await;
            let lists = upstream.client.code_lists();
            // A record is a sign, whatever the status.
            let absent = asked.as_ref().ok().filter(|heard| !heard.shows_record);
            match absent.map(|heard| heard.code) {
                Some(code)
                    if lists.not_received.contains(&code) && !inquired.may_have_got(code) => {}
                Some(code) if verdict::may_be_unknown(code, lists) => {
                    elsewhere = Elsewhere::Absent;
                }
                _ => {
                    let code = asked.ok().map(|heard| heard.code.to_string());
                    debug!(key = %about.key(), account = %name, code, "another account may know it");
                    return Ok(Elsewhere::MayBeKnown);
                }
            }
        }
        Ok(elsewhere)
    }
}

/// What the other accounts' OKEBAYAR says of a reference code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elsewhere {
    /// Every one never received it.
    NotReceived,
    /// None shows a sign of it.
    Absent,
    /// One knows it, or cannot tell.
    MayBeKnown,
}
