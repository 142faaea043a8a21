//! The transaction: its record, and what follows from the record alone.

use std::{borrow::Cow, collections::BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    account_names::AccountName,
    amount::Amount,
    attempt::{Attempt, QuarantinedAttempt},
    check_progress::CheckProgress,
    code_types::TraceCode,
    erasure_mark::Erasure,
    evidence::EvidenceSet,
    finding::{Finding, Verdict},
    fold::fold,
    intent::{Contents, TraceContext},
    labels::Labels,
    order::{Bill, Order},
    proof,
    reference_code::{ReferenceCode, TransactionKey},
    rules::{LatestAttempt, Rules},
    schedule::later,
    state::{State, TransactionStatus},
    statement::Statement,
    tokens::{AttemptToken, BaseVersion},
    unrecognized::Unrecognized,
};

/// One purchase or payment, from its intent to its end. It stores evidence, from which its state is
/// derived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    pub(super) account: AccountName,
    pub(super) reference_code: ReferenceCode,
    pub(super) contents: Contents,
    pub(super) order: Order,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<TraceContext>,
    /// The reference code is sent to OKEBAYAR without hyphens. Every attempt and check uses the form
    /// of the first attempt: OKEBAYAR may take another form for another reference code, deny that
    /// it received it, and execute it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) omits_hyphens: bool,
    /// The highest price that the first call accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_price: Option<Amount>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub(super) labels: Labels,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) attempt: Attempt,
    /// The attempts that were quarantined, oldest first.
    #[serde(rename = "held_back", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) quarantined: Vec<QuarantinedAttempt>,
    /// The store lost the record, and the record was written again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_rewritten: bool,
    pub(super) rules: Rules,
    pub(super) evidence: EvidenceSet,
    pub(super) checks: CheckProgress,
    /// The personal data is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) erased: Option<Box<Erasure>>,
    /// The number of changes that a reader can see; each is one event.
    pub(super) revision: u64,
    /// The number of saves, those of bookkeeping included.
    pub(super) version: u64,
    /// The fields that a later release stored in the record.
    #[serde(skip)]
    pub(super) unrecognized: Unrecognized,
}

impl Transaction {
    /// Returns the key under which the transaction is stored.
    #[must_use]
    pub fn key(&self) -> TransactionKey {
        TransactionKey::new(&self.reference_code)
    }

    /// Returns the configured account that pays.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// Returns the caller's reference code, as first given.
    #[must_use]
    pub fn reference_code(&self) -> &ReferenceCode {
        &self.reference_code
    }

    /// Returns the reference code in the form that is sent to OKEBAYAR.
    #[must_use]
    pub fn sent_reference_code(&self) -> Cow<'_, str> {
        self.reference_code.to_send(self.omits_hyphens)
    }

    /// Returns the contents of the caller's request.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Returns the contents, completed by the total that is paid: an earlier release did not
    /// require the caller to state it.
    #[must_use]
    pub fn stated_contents(&self) -> Contents {
        match &self.contents {
            Contents::PayPostpaid {
                inquiry_code,
                total: None,
            } => Contents::PayPostpaid {
                inquiry_code: inquiry_code.clone(),
                total: self.order.bill().and_then(Bill::total),
            },
            stated => stated.clone(),
        }
    }

    /// Returns the order that is sent to OKEBAYAR.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Returns true when another version of the record, or another record under its reference
    /// code, has the same account, contents and order.
    #[must_use]
    pub fn is_same_order(&self, other: &Self) -> bool {
        (&self.account, &self.contents, &self.order)
            == (&other.account, &other.contents, &other.order)
    }

    /// Returns the trace of the call that created the transaction.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// Returns the highest price that the first call accepted, if it stated one.
    #[must_use]
    pub fn max_price(&self) -> Option<Amount> {
        self.max_price
    }

    /// Returns the labels that the first call gave.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Returns the time after which the latest attempt must not be sent, if its call stated one.
    #[must_use]
    pub fn expire_at(&self) -> Option<Timestamp> {
        self.attempt.expire_at
    }

    /// Returns the time at which the transaction was accepted.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Returns the time of the latest revision.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// Returns the revision: the number of changes that a reader can see.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the version: the number of saves.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the base of a change that is made from this version.
    #[must_use]
    pub fn base(&self) -> BaseVersion {
        BaseVersion {
            version: self.version,
            token: self.attempt.token,
        }
    }

    /// Returns the token of the latest attempt.
    #[must_use]
    pub fn token(&self) -> AttemptToken {
        self.attempt.token
    }

    /// Returns the number of the latest attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt.number
    }

    /// Returns the time at which the latest attempt was armed.
    #[must_use]
    pub fn armed_at(&self) -> Timestamp {
        self.attempt.armed_at
    }

    /// Returns the attempts that were quarantined, oldest first.
    #[must_use]
    pub fn quarantined_attempts(&self) -> &[QuarantinedAttempt] {
        &self.quarantined
    }

    /// Returns true when the latest attempt is quarantined, so that it must not be sent.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        let last = self.quarantined.last();
        last.is_some_and(|held| held.attempt == self.attempt.number)
    }

    /// Returns true when the store may have lost earlier data of the reference code, such as the
    /// inquiries made under it.
    #[must_use]
    pub fn follows_loss(&self) -> bool {
        self.is_rewritten || !self.quarantined.is_empty()
    }

    /// Returns the evidence about the transaction.
    #[must_use]
    pub fn evidence(&self) -> &EvidenceSet {
        &self.evidence
    }

    /// Derives the status from the evidence.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        fold(&self.evidence, self.latest_attempt(), &self.rules)
    }

    /// Returns the latest time at which evidence showed that the latest attempt sent nothing;
    /// `None` without such evidence.
    #[must_use]
    pub fn not_sent_at(&self) -> Option<Timestamp> {
        proof::not_sent_at(&self.evidence, self.latest_attempt(), &self.rules)
    }

    /// Returns every trace code by which the transaction may be indexed.
    #[must_use]
    pub fn trace_codes(&self) -> BTreeSet<TraceCode> {
        let statements = self.evidence.iter().map(|(statement, _)| statement);
        statements
            .filter_map(|statement| statement.details.trace_code.clone())
            .collect()
    }

    /// Returns the time by which the gateway knew of the success; `None` in any state but
    /// SUCCEEDED.
    #[must_use]
    pub fn succeeded_at(&self) -> Option<Timestamp> {
        if !matches!(self.status().state, State::Succeeded { .. }) {
            return None;
        }
        let is_success = |finding| {
            matches!(
                finding,
                Finding::Succeeded | Finding::Resolved(Verdict::Succeeded)
            )
        };
        let entries = self.evidence.iter();
        let times = entries.filter(|(statement, _)| is_success(statement.finding));
        let learnt = times.map(|(_, seen)| seen.first).max();
        Some(learnt.unwrap_or(self.updated_at))
    }

    /// Returns the statements that settle an outcome by themselves, resolutions included.
    pub(super) fn proofs(&self) -> impl Iterator<Item = &Statement> {
        proof::proofs(&self.evidence, self.latest_attempt(), &self.rules)
    }

    /// Returns the latest attempt, as the fold judges it.
    pub(super) fn latest_attempt(&self) -> LatestAttempt {
        LatestAttempt {
            operation: self.contents.operation(),
            number: self.attempt.number,
            armed_at: self.attempt.armed_at,
            is_quarantined: self.is_quarantined(),
            expire_at: self.attempt.expire_at,
        }
    }

    /// Returns the latest time in the record, whichever gateway read the clock.
    fn last_known_at(&self) -> Timestamp {
        let known = [
            Some(self.updated_at),
            Some(self.attempt.armed_at),
            self.checks.last_at,
            self.evidence.last_seen(),
        ];
        known.into_iter().flatten().max().unwrap_or(self.updated_at)
    }

    /// Returns the time to record for an observation made now: later than every earlier one.
    /// Otherwise a clock that was set back would stretch the time between two observations, and
    /// settle a transaction too early.
    pub(super) fn seen_at(&self, now: Timestamp) -> Timestamp {
        now.max(later(self.last_known_at(), SignedDuration::from_micros(1)))
    }

    /// Returns the transaction with the fields of its record that this release does not know.
    #[must_use]
    pub fn with_unrecognized(self, unrecognized: Unrecognized) -> Self {
        Self {
            unrecognized,
            ..self
        }
    }

    /// Returns the fields that a later release stored in the record, to be stored again.
    #[must_use]
    pub fn unrecognized(&self) -> &Unrecognized {
        &self.unrecognized
    }
}
