//! The transaction: its record and what can be read from it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    account_names::AccountName,
    attempt::{Attempt, QuarantinedAttempt},
    check_progress::CheckProgress,
    evidence::EvidenceSet,
    finding::{Finding, Verdict},
    fold::fold,
    intent::{Contents, TraceContext},
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

/// One purchase, from intent to end. The evidence is what it is; everything
/// else about its state is derived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    pub(super) account: AccountName,
    pub(super) reference_code: ReferenceCode,
    pub(super) contents: Contents,
    pub(super) order: Order,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<TraceContext>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) attempt: Attempt,
    /// The attempts that were held back, oldest first.
    #[serde(rename = "held_back", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) quarantined: Vec<QuarantinedAttempt>,
    /// The store lost the record, and it was written again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_rewritten: bool,
    pub(super) rules: Rules,
    pub(super) evidence: EvidenceSet,
    pub(super) checks: CheckProgress,
    /// Counts the changes that a reader can see; each is one event.
    pub(super) revision: u64,
    /// Counts every save, those of the bookkeeping included.
    pub(super) version: u64,
    /// What a later release stored with it.
    #[serde(skip)]
    pub(super) unrecognized: Unrecognized,
}

impl Transaction {
    /// The key under which it is stored.
    #[must_use]
    pub fn key(&self) -> TransactionKey {
        TransactionKey::new(&self.reference_code)
    }

    /// The configured account that pays.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// The caller's reference code, as first given.
    #[must_use]
    pub fn reference_code(&self) -> &ReferenceCode {
        &self.reference_code
    }

    /// What the caller asked for.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Returns the contents with the total that is paid, which an earlier release did not want
    /// stated.
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

    /// What is bought.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Returns true when another version of the record, or another record under its reference
    /// code, is for the same order paid by the same account.
    #[must_use]
    pub fn is_same_order(&self, other: &Self) -> bool {
        (&self.account, &self.contents, &self.order)
            == (&other.account, &other.contents, &other.order)
    }

    /// The trace in which it was first wanted.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// When the purchase was first accepted.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When its revision was made.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// Counts the changes that a reader can see.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Counts every save.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// This version, as a change is made from it.
    #[must_use]
    pub fn base(&self) -> BaseVersion {
        BaseVersion {
            version: self.version,
            token: self.attempt.token,
        }
    }

    /// The token of the latest attempt.
    #[must_use]
    pub fn token(&self) -> AttemptToken {
        self.attempt.token
    }

    /// The number of the latest attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt.number
    }

    /// When the latest attempt was armed.
    #[must_use]
    pub fn armed_at(&self) -> Timestamp {
        self.attempt.armed_at
    }

    /// The attempts that were held back, oldest first.
    #[must_use]
    pub fn quarantined_attempts(&self) -> &[QuarantinedAttempt] {
        &self.quarantined
    }

    /// True when the latest attempt was held back: it must not be sent.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        let last = self.quarantined.last();
        last.is_some_and(|held| held.attempt == self.attempt.number)
    }

    /// Returns true when the store may have lost what it held of the reference code before this
    /// record, such as the inquiries made under it.
    #[must_use]
    pub fn follows_loss(&self) -> bool {
        self.is_rewritten || !self.quarantined.is_empty()
    }

    /// Everything that was said about it.
    #[must_use]
    pub fn evidence(&self) -> &EvidenceSet {
        &self.evidence
    }

    /// What the evidence amounts to.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        fold(&self.evidence, self.about(), &self.rules)
    }

    /// When it was last learnt that the latest attempt sent nothing; `None` when that
    /// is not known.
    #[must_use]
    pub fn not_sent_at(&self) -> Option<Timestamp> {
        proof::not_sent_at(&self.evidence, self.about(), &self.rules)
    }

    /// Returns when the success was learnt that stands, at the latest; `None` in any other state.
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
        let times = entries.filter(|(said, _)| is_success(said.finding));
        let learnt = times.map(|(_, seen)| seen.first).max();
        Some(learnt.unwrap_or(self.updated_at))
    }

    /// The statements that settle something by themselves, and the resolutions.
    pub(super) fn proofs(&self) -> impl Iterator<Item = &Statement> {
        proof::proofs(&self.evidence, self.about(), &self.rules)
    }

    pub(super) fn about(&self) -> LatestAttempt {
        LatestAttempt {
            operation: self.contents.operation(),
            attempt: self.attempt.number,
            armed_at: self.attempt.armed_at,
            is_quarantined: self.is_quarantined(),
        }
    }

    /// Returns the latest time in the record, by whichever clock.
    fn last_known_at(&self) -> Timestamp {
        let known = [
            Some(self.updated_at),
            Some(self.attempt.armed_at),
            self.checks.last_at,
            self.evidence.last_seen(),
        ];
        known.into_iter().flatten().max().unwrap_or(self.updated_at)
    }

    /// Returns the time at which something is seen: later than everything seen before. A clock
    /// that goes back would else stretch the time between two observations, and settle a
    /// transaction early.
    pub(super) fn seen_at(&self, now: Timestamp) -> Timestamp {
        now.max(later(self.last_known_at(), SignedDuration::from_micros(1)))
    }

    /// Builds the transaction of a record that holds more than this release knows.
    #[must_use]
    pub fn with_unrecognized(self, unrecognized: Unrecognized) -> Self {
        Self {
            unrecognized,
            ..self
        }
    }

    /// Returns what a later release stored with it, to be stored again.
    #[must_use]
    pub fn unrecognized(&self) -> &Unrecognized {
        &self.unrecognized
    }
}
