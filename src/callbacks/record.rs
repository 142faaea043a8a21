//! Storing of callbacks. A callback is an unverified hint, and is stored before the response
//! (promises 7 and 12).

use std::sync::Arc;

use tracing::{Instrument, Span, info, info_span, warn};

use crate::{
    accounts::Upstream,
    callbacks::callback_recorder::CallbackRecorder,
    notices::orphans::{self, Orphan},
    okebayar::{
        answer::Answer,
        fields::{Fields, Unreadable},
        subject::Subject,
        verdict::{self, Ignored},
    },
    store::StoreError,
    telemetry::link,
    transaction::{
        AccountName, ReferenceCode, Statement, Transaction, TransactionKey, TransactionRef,
    },
};

/// The outcome of a callback, which is stored either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// The callback is in the timeline of its transaction.
    Matched,
    /// The reference code is unknown, or its transaction was retired; the callback is stored as an
    /// orphan.
    Orphan,
}

/// The longest reference code of an orphan that is stored, in characters.
const REFERENCE_CHARS_MAX: usize = 64;
/// The longest status of an orphan that is stored, in characters.
const STATUS_CHARS_MAX: usize = 16;

impl CallbackRecorder {
    /// Interprets the fields of a callback.
    ///
    /// # Errors
    /// [`Unreadable`] when the fields contradict each other.
    pub fn read_report(&self, account: &AccountName, fields: Fields) -> Result<Answer, Unreadable> {
        match self.upstreams.get(account) {
            Some(upstream) => upstream.client.read_report(fields),
            None => Err(Unreadable::Ambiguous("the account")),
        }
    }

    /// Stores a callback, and makes a confirming status check due.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be stored.
    pub async fn receive(
        &self,
        account: &AccountName,
        report: &Answer,
    ) -> Result<CallbackOutcome, StoreError> {
        let reference = report.reference_code.as_deref().unwrap_or_default();
        let known = match ReferenceCode::parse(reference) {
            // The sender may not see another account's transaction.
            Ok(reference) => {
                let named = TransactionRef {
                    key: TransactionKey::new(&reference),
                    account: Some(account.clone()),
                };
                match self.ledger.find(&named).await {
                    Err(StoreError::Retired(_)) => None,
                    found => found?,
                }
            }
            Err(_) => None,
        };
        let (Some(transaction), Some(upstream)) = (known, self.upstreams.get(account)) else {
            return self.receive_orphan(account, report).await;
        };
        let span = info_span!(
            "callback",
            okebayar.account = %account,
            okebayar.referencecode = %transaction.reference_code(),
            okebayar.status = report.status_code().map(tracing::field::display),
        );
        link(&Span::current(), transaction.trace());
        link(&span, transaction.trace());
        let receiving = self.receive_known(transaction, upstream, report);
        match receiving.instrument(span).await {
            // It was retired since it was found.
            Err(StoreError::Retired(_)) => self.receive_orphan(account, report).await,
            received => received.map(|()| CallbackOutcome::Matched),
        }
    }

    /// Stores a callback about a reference code that is unknown, or whose transaction was retired.
    async fn receive_orphan(
        &self,
        account: &AccountName,
        report: &Answer,
    ) -> Result<CallbackOutcome, StoreError> {
        let orphan = self.orphan(account, report);
        orphans::add_orphan(&*self.store, &orphan).await?;
        self.enqueue_orphan_check(&orphan);
        info!(%account, "callback for unknown reference code; stored as orphan");
        Ok(CallbackOutcome::Orphan)
    }

    /// Adds a callback to the timeline of its transaction.
    async fn receive_known(
        &self,
        transaction: Arc<Transaction>,
        upstream: &Upstream,
        report: &Answer,
    ) -> Result<(), StoreError> {
        let lists = upstream.client.code_lists();
        let believed = if upstream.callback_trusted {
            self.trusted_statement(&transaction, upstream, report)
                .await?
        } else {
            None
        };
        let observe = |current: &Transaction| {
            let (now, schedule) = ((self.ambient.now)(), &self.schedule);
            if let Some(said) = &believed {
                return current.observe([said.clone()], now, schedule);
            }
            let state = current.status().state;
            let agrees = report
                .status_code()
                .is_some_and(|code| verdict::agrees(code, &state, lists));
            current.observe_report(verdict::of_callback(report), agrees, now, schedule)
        };
        self.ledger.update(transaction, observe).await?;
        Ok(())
    }

    /// Returns what a callback proves, for an account whose callbacks are trusted.
    async fn trusted_statement(
        &self,
        about: &Transaction,
        upstream: &Upstream,
        report: &Answer,
    ) -> Result<Option<Statement>, StoreError> {
        let lists = upstream.client.code_lists();
        let inquired = self.inquiries.made_for(about).await?;
        let asked = Subject {
            transaction: about,
            inquired: &inquired,
        };
        match verdict::of_trusted_callback(report, asked, lists) {
            Ok(said) => self
                .inquiries
                .review_already_paid(about, said)
                .await
                .map(Some),
            Err(Ignored::Differs(differs)) => {
                let ours = about.order().account_number.as_str();
                let client = &upstream.client;
                client.report_difference("callback", differs, report, ours);
                Ok(None)
            }
            Err(ignored) => {
                if ignored == Ignored::AboutAnotherMember {
                    warn!(
                        account = %about.account(),
                        "callback is for another member and proves nothing; if OKEBAYAR masks the \
                         userid, set accounts.<name>.verify_userid = false"
                    );
                    self.metrics.another_member(about.account(), "callback");
                }
                Ok(None)
            }
        }
    }

    /// Builds the orphan of a callback about an unknown reference code.
    fn orphan(&self, account: &AccountName, report: &Answer) -> Orphan {
        let cut = |text: &Option<String>, chars: usize| {
            text.as_deref()
                .unwrap_or_default()
                .chars()
                .take(chars)
                .collect()
        };
        Orphan {
            account: account.clone(),
            reference_code: cut(&report.reference_code, REFERENCE_CHARS_MAX),
            status: cut(&report.status, STATUS_CHARS_MAX),
            at: (self.ambient.now)(),
        }
    }
}
