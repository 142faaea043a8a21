//! What a statement proves by itself.

use jiff::Timestamp;

use super::{
    evidence::{EvidenceSet, NEVER_AGREES, Occurrences, SeenStatement},
    finding::{FailureReason, Finding, NotSent, Source},
    rules::{LatestAttempt, Rules},
    statement::Statement,
};

impl LatestAttempt {
    /// False for what was said before the latest attempt: the one before it provably
    /// sent nothing, so what settled nothing then says nothing now.
    pub(super) fn concerns(self, at: Timestamp) -> bool {
        self.attempt == 1 || at >= self.armed_at
    }

    /// Reads an attempt that was held back as one that was sent, once a gateway has reported a
    /// POST under its reference code whose outcome is unknown: "never received" does not free
    /// the reference code then.
    pub(super) fn given(self, evidence: &EvidenceSet) -> Self {
        let was_sent = evidence.iter().any(|entry| reports_post(entry, self));
        Self {
            is_quarantined: self.is_quarantined && !was_sent,
            ..self
        }
    }
}

/// Returns true when a gateway reports a POST whose outcome is unknown.
pub(super) fn reports_post((said, seen): SeenStatement<'_>, about: LatestAttempt) -> bool {
    matches!(said.source, Source::Gateway | Source::Answer)
        && matches!(said.finding, Finding::Unknown(_))
        && about.concerns(seen.last)
}

/// What a statement settles by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Success,
    Failure,
    Resolution,
}

pub(super) fn proof(
    (said, seen): SeenStatement<'_>,
    about: LatestAttempt,
    rules: &Rules,
) -> Option<Proof> {
    match said.finding {
        Finding::Succeeded => Some(Proof::Success),
        Finding::Resolved(_) => Some(Proof::Resolution),
        _ if unsent(said, seen, about, rules).is_some() => Some(Proof::Failure),
        _ => proven_failure(said, seen, about, rules).map(|_| Proof::Failure),
    }
}

/// The statements that settle something by themselves, resolutions among them.
pub(super) fn proofs<'a>(
    evidence: &'a EvidenceSet,
    about: LatestAttempt,
    rules: &Rules,
) -> impl Iterator<Item = &'a Statement> {
    let about = about.given(evidence);
    let entries = evidence.iter();
    entries.filter_map(move |entry| proof(entry, about, rules).map(|_| entry.0))
}

/// When it was last learnt that the latest attempt sent nothing.
pub(super) fn not_sent_at(
    evidence: &EvidenceSet,
    about: LatestAttempt,
    rules: &Rules,
) -> Option<Timestamp> {
    let about = about.given(evidence);
    let entries = evidence.iter();
    let times =
        entries.filter_map(|(said, seen)| unsent(said, seen, about, rules).map(|_| seen.last));
    times.max()
}

/// Why this statement proves a failure, if it does.
pub(super) fn proven_failure(
    said: &Statement,
    seen: &Occurrences,
    about: LatestAttempt,
    rules: &Rules,
) -> Option<FailureReason> {
    match said.finding {
        Finding::Failed(reason) => Some(reason),
        Finding::Doubtful(reason) => {
            let may_agree = said.source == Source::Check && said.after != Some(NEVER_AGREES);
            let agree = rules.are_apart(seen.first, seen.last, rules.doubtful_gap);
            (may_agree && agree && about.concerns(seen.first)).then_some(reason)
        }
        Finding::NotReceived if !about.is_quarantined => {
            was_never_received(seen, about, rules).then_some(FailureReason::NotReceived)
        }
        _ => None,
    }
}

/// Why this statement proves that nothing was sent, if it does. For an attempt that
/// was held back OKEBAYAR's "never received" does: the reference code is unused.
pub(super) fn unsent(
    said: &Statement,
    seen: &Occurrences,
    about: LatestAttempt,
    rules: &Rules,
) -> Option<NotSent> {
    match said.finding {
        Finding::NotSent { attempt, why } => (attempt == about.attempt).then_some(why),
        Finding::NotReceived if about.is_quarantined => {
            was_never_received(seen, about, rules).then_some(NotSent::Quarantined)
        }
        _ => None,
    }
}

/// "Never received" was said long enough after the attempt.
pub(super) fn was_never_received(seen: &Occurrences, about: LatestAttempt, rules: &Rules) -> bool {
    rules.are_apart(about.armed_at, seen.last, rules.not_received_after)
}
