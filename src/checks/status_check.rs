//! One status check (promises 11 and 16).

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{Instrument, debug, info_span};

use super::{checks::Checks, lease::LeasedCheck, other_accounts::OtherAccountsFinding};
use crate::{
    accounts::Upstream,
    okebayar::answer_error::AnswerError,
    store::StoreError,
    telemetry::link,
    transaction::{Finding, Transaction},
};

impl Checks {
    /// Makes a status check, and stores its result and the release of its lease in one commit.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer; the lease then expires, and the check is due
    /// again.
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

    /// Checks the status of a transaction at OKEBAYAR, and commits the result.
    async fn ask_about(&self, leased: &LeasedCheck, upstream: &Upstream) -> Result<(), StoreError> {
        let (due, token) = (Arc::clone(&leased.transaction), leased.lease.token);
        let (key, now) = (due.key(), (self.ambient.now)());
        let account = self.accounts.present_name(due.account()).clone();
        // The due index counts in milliseconds.
        let is_early = |until: Timestamp| now.as_millisecond() < until.as_millisecond();
        if due.sending_until(&self.schedule).is_some_and(is_early) {
            debug!(%key, "status check postponed until the POST is over");
            return Ok(());
        }
        if due.is_too_old(now, &self.schedule) {
            let give_up = |current: &Transaction| {
                let given_up = current.give_up((self.ambient.now)(), &self.schedule)?;
                Some(given_up.releasing(token))
            };
            self.ledger.update(due, give_up).await?;
            return Ok(());
        }
        let inquired = self.inquiries.made_for(&due).await?;
        let mut is_absent = false;
        let said = match upstream.client.check(&due, &inquired).await {
            Ok(statement) => {
                self.metrics.check(&account, "learnt");
                Some(self.inquiries.review_already_paid(&due, statement).await?)
            }
            Err(nothing) => {
                self.metrics.check(&account, nothing.kind());
                debug!(%key, %nothing, "status check inconclusive");
                is_absent = matches!(nothing, AnswerError::NoSign(_));
                None
            }
        };
        let denies =
            is_absent || matches!(&said, Some(said) if said.finding == Finding::NotReceived);
        let (said, is_absent) = if denies && due.is_quarantined() {
            let others = self.check_other_accounts(&due).await?;
            let said = said.filter(|_| others == OtherAccountsFinding::NotReceived);
            (
                said,
                is_absent && others != OtherAccountsFinding::MayBeKnown,
            )
        } else {
            (said, is_absent)
        };
        let observe = |current: &Transaction| {
            let now = (self.ambient.now)();
            // Time rules count from the commit of an answer, so an answer whose lease has expired is
            // discarded. The next check asks again.
            let checked = if leased.has_ended(now) {
                current.observe_check_since(&due, None, now, &self.schedule)
            } else if is_absent {
                current.observe_absence_since(&due, now, &self.schedule)
            } else {
                current.observe_check_since(&due, said.clone(), now, &self.schedule)
            };
            Some(checked.releasing(token))
        };
        self.ledger.update(Arc::clone(&due), observe).await?;
        Ok(())
    }
}
