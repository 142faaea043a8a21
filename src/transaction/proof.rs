//! The statements that settle a transaction by themselves.

use jiff::Timestamp;

use super::{
    evidence::{EvidenceSet, NEVER_AGREES, Occurrences, SeenStatement},
    finding::{FailureReason, Finding, NotSent, Source},
    rules::{LatestAttempt, Rules},
    statement::Statement,
};

impl LatestAttempt {
    /// Returns false for a statement that was made before the latest attempt. The attempt before
    /// it provably sent nothing, so a statement that did not settle that one is void.
    pub(super) fn concerns(self, at: Timestamp) -> bool {
        self.number == 1 || at >= self.armed_at
    }

    /// Returns the reason of an attempt that was not sent in time, as a caller distinguishes it: by
    /// then the caller's own limit had passed, or only the gateway's.
    fn given_expiry(self, why: NotSent, seen_at: Timestamp) -> NotSent {
        let is_expired = self.expire_at.is_some_and(|expire_at| seen_at >= expire_at);
        match why {
            NotSent::Overloaded if is_expired => NotSent::Expired,
            why => why,
        }
    }

    /// Returns the attempt as not quarantined once a gateway has reported a POST with an unknown
    /// outcome under its reference code: "never received" must not free the reference code then.
    pub(super) fn given(self, evidence: &EvidenceSet) -> Self {
        let was_sent = evidence.iter().any(|entry| reports_post(entry, self));
        Self {
            is_quarantined: self.is_quarantined && !was_sent,
            ..self
        }
    }
}

/// Returns true when a gateway reports a POST whose outcome is unknown.
pub(super) fn reports_post((statement, seen): SeenStatement<'_>, attempt: LatestAttempt) -> bool {
    matches!(statement.source, Source::Gateway | Source::Answer)
        && matches!(statement.finding, Finding::Unknown(_))
        && attempt.concerns(seen.last)
}

/// The outcome that a statement settles by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Success,
    Failure,
    Resolution,
}

/// Returns the outcome that a statement settles by itself, if any.
pub(super) fn proof(
    (statement, seen): SeenStatement<'_>,
    attempt: LatestAttempt,
    rules: &Rules,
) -> Option<Proof> {
    match statement.finding {
        Finding::Succeeded => Some(Proof::Success),
        Finding::Resolved(_) => Some(Proof::Resolution),
        _ if unsent(statement, seen, attempt, rules).is_some() => Some(Proof::Failure),
        _ => proven_failure(statement, seen, attempt, rules).map(|_| Proof::Failure),
    }
}

/// Returns the statements that settle an outcome by themselves, resolutions included.
pub(super) fn proofs<'a>(
    evidence: &'a EvidenceSet,
    attempt: LatestAttempt,
    rules: &Rules,
) -> impl Iterator<Item = &'a Statement> {
    let attempt = attempt.given(evidence);
    let entries = evidence.iter();
    entries.filter_map(move |entry| proof(entry, attempt, rules).map(|_| entry.0))
}

/// Returns the latest time at which evidence showed that the latest attempt sent nothing.
pub(super) fn not_sent_at(
    evidence: &EvidenceSet,
    attempt: LatestAttempt,
    rules: &Rules,
) -> Option<Timestamp> {
    let attempt = attempt.given(evidence);
    let entries = evidence.iter();
    let times = entries
        .filter_map(|(statement, seen)| unsent(statement, seen, attempt, rules).map(|_| seen.last));
    times.max()
}

/// Returns the reason of the failure that a statement proves, if it proves one.
pub(super) fn proven_failure(
    statement: &Statement,
    seen: &Occurrences,
    attempt: LatestAttempt,
    rules: &Rules,
) -> Option<FailureReason> {
    match statement.finding {
        Finding::Failed(reason) => Some(reason),
        Finding::Doubtful(reason) => {
            let may_agree =
                statement.source == Source::Check && statement.after != Some(NEVER_AGREES);
            let agree = rules.are_apart(seen.first, seen.last, rules.doubtful_gap);
            (may_agree && agree && attempt.concerns(seen.first)).then_some(reason)
        }
        Finding::NotReceived if !attempt.is_quarantined => {
            was_never_received(seen, attempt, rules).then_some(FailureReason::NotReceived)
        }
        _ => None,
    }
}

/// Returns the reason why nothing was sent, if a statement proves that. For a quarantined attempt,
/// OKEBAYAR's "never received" is such a proof: the reference code is unused.
pub(super) fn unsent(
    statement: &Statement,
    seen: &Occurrences,
    attempt: LatestAttempt,
    rules: &Rules,
) -> Option<NotSent> {
    match statement.finding {
        Finding::NotSent {
            attempt: number,
            why,
        } => (number == attempt.number).then(|| attempt.given_expiry(why, seen.first)),
        Finding::NotReceived if attempt.is_quarantined => {
            was_never_received(seen, attempt, rules).then_some(NotSent::Quarantined)
        }
        _ => None,
    }
}

/// Returns true when "never received" was reported long enough after the attempt.
pub(super) fn was_never_received(
    seen: &Occurrences,
    attempt: LatestAttempt,
    rules: &Rules,
) -> bool {
    rules.are_apart(attempt.armed_at, seen.last, rules.not_received_after)
}
