//! From the set of evidence to the standing of the transaction (promises 4 and 8).
//!
//! The fold looks at the set, never at an order of arrival: whatever way the
//! evidence came, and however often, the standing is the same. Each rule below
//! wins over the ones after it, and a settled state can be left only towards
//! NEEDS_REVIEW, because the rules that settle come before those that do not.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    codes::TraceCode,
    evidence::{Details, EvidenceSet, FailureReason, Finding, Seen, Source, Statement},
    state::{Doubt, ReviewCause, SerialNumberStatus, Standing, State},
};

/// The times by which evidence is judged. A transaction keeps those it began
/// with, so that a change of configuration never changes a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How far apart two agreeing doubtful checks must be; 5 minutes by default.
    pub doubtful_gap: SignedDuration,
    /// How long after the POST at the earliest "never received" is believed;
    /// 10 minutes by default (API page, 3.2).
    pub not_received_after: SignedDuration,
}

/// The attempt that the evidence is about.
#[derive(Clone, Copy, Debug)]
pub struct Armed {
    /// The number of the latest attempt, counted from 1.
    pub attempt: u32,
    /// When the POST of that attempt can have left at the latest.
    pub at: Timestamp,
}

type Entry<'a> = (&'a Statement, &'a Seen);

/// What the evidence amounts to.
#[must_use]
pub fn fold(evidence: &EvidenceSet, armed: Armed, rules: &Rules) -> Standing {
    let find = |wanted: fn(&Finding) -> bool| {
        evidence
            .iter()
            .filter(move |(said, _)| wanted(&said.finding))
            .max_by_key(rank)
    };
    let success = find(|finding| matches!(finding, Finding::Succeeded));
    let failure = proven_failure(evidence, armed, rules);
    let not_sent = evidence.iter().find_map(|(said, _)| match said.finding {
        Finding::NotSent { attempt, why } if attempt == armed.attempt => Some(why),
        _ => None,
    });
    let pending = find(|finding| matches!(finding, Finding::Pending));
    let doubtful = find(|finding| matches!(finding, Finding::Doubtful(_) | Finding::NotReceived));
    let unknown = find(|finding| matches!(finding, Finding::Unknown(_)));
    let gave_up = find(|finding| matches!(finding, Finding::ChecksExhausted));
    let receipt = || success.map(|_| receipt(evidence));

    let contradicted = success.is_some() && (failure.is_some() || not_sent.is_some())
        || not_sent.is_some() && pending.is_some();
    let (state, resting_on) = if contradicted {
        (
            State::NeedsReview {
                cause: ReviewCause::Contradicted,
                receipt: receipt(),
            },
            success,
        )
    } else if gave_up.is_some() {
        let resting_on = success
            .or(failure.map(|(entry, _)| entry))
            .or(doubtful)
            .or(pending);
        (
            State::NeedsReview {
                cause: ReviewCause::ChecksExhausted,
                receipt: receipt(),
            },
            resting_on,
        )
    } else if success.is_some() {
        let receipt = self::receipt(evidence);
        let serial_number = serial_number_status(evidence, &receipt);
        (
            State::Succeeded {
                receipt,
                serial_number,
            },
            success,
        )
    } else if let Some((entry, reason)) = failure {
        (State::Failed(reason), Some(entry))
    } else if let Some(why) = not_sent {
        (State::NotSent(why), None)
    } else if let Some((said, seen)) = doubtful {
        let reason = match said.finding {
            Finding::Doubtful(reason) => reason,
            _ => FailureReason::NotReceived,
        };
        (
            State::Confirming(Doubt::Unproven(reason)),
            Some((said, seen)),
        )
    } else if pending.is_some() {
        (State::Pending, pending)
    } else if let Some((said, seen)) = unknown {
        let Finding::Unknown(why) = said.finding else {
            unreachable!("found as unknown")
        };
        (State::Confirming(Doubt::Unknown(why)), Some((said, seen)))
    } else {
        (State::Sending, None)
    };

    Standing {
        code: resting_on.and_then(|(said, _)| said.code),
        trace_code: trace_code(evidence, state.is_settled()),
        reported: find(|finding| matches!(finding, Finding::Reported))
            .and_then(|(said, _)| said.code),
        state,
    }
}

/// Which of several statements of one kind is shown: the one seen last, and the
/// greater one of two seen at the same time.
fn rank<'a>(entry: &Entry<'a>) -> (Timestamp, &'a Statement) {
    (entry.1.last, entry.0)
}

fn proven_failure<'a>(
    evidence: &'a EvidenceSet,
    armed: Armed,
    rules: &Rules,
) -> Option<(Entry<'a>, FailureReason)> {
    evidence
        .iter()
        .filter_map(|(said, seen)| {
            let reason = match said.finding {
                Finding::Failed(reason) => reason,
                Finding::Doubtful(reason)
                    if said.source == Source::Check
                        && seen.last.duration_since(seen.first) >= rules.doubtful_gap =>
                {
                    reason
                }
                Finding::NotReceived
                    if seen.last.duration_since(armed.at) >= rules.not_received_after =>
                {
                    FailureReason::NotReceived
                }
                _ => return None,
            };
            Some(((said, seen), reason))
        })
        .max_by_key(|(entry, _)| rank(entry))
}

/// Each detail from the success seen last that has it: an answer without a
/// serial number and the check that brings it make one receipt.
fn receipt(evidence: &EvidenceSet) -> Details {
    let mut successes: Vec<Entry<'_>> = evidence
        .iter()
        .filter(|(said, _)| said.finding == Finding::Succeeded)
        .collect();
    successes.sort_by_key(|entry| std::cmp::Reverse(rank(entry)));
    let mut receipt = Details::default();
    for (Statement { details, .. }, _) in successes {
        receipt.serial_number = receipt
            .serial_number
            .or_else(|| details.serial_number.clone());
        receipt.price = receipt.price.or(details.price);
        receipt.balance = receipt.balance.or(details.balance);
        receipt.time = receipt.time.or(details.time);
        receipt.info = receipt.info.or_else(|| details.info.clone());
    }
    receipt
}

/// A success with code 000 and no serial number has none to come (000 means
/// "serial number present", API page section 5, yet some products have none):
/// it is awaited all the same, as after 001, until the schedule ends.
fn serial_number_status(evidence: &EvidenceSet, receipt: &Details) -> SerialNumberStatus {
    if receipt.serial_number.is_some() {
        SerialNumberStatus::Present
    } else if evidence
        .iter()
        .any(|(said, _)| said.finding == Finding::SerialNumberGivenUp)
    {
        SerialNumberStatus::Missing
    } else {
        SerialNumberStatus::Pending
    }
}

/// The trace code of the POST's own answer, else that of a callback once the
/// outcome is settled; never one first seen in a check (API page, 3.2).
fn trace_code(evidence: &EvidenceSet, settled: bool) -> Option<TraceCode> {
    let from = |source: Source| {
        evidence
            .iter()
            .filter(|(said, _)| said.source == source && said.details.trace_code.is_some())
            .max_by_key(rank)
            .and_then(|(said, _)| said.details.trace_code.clone())
    };
    from(Source::Answer).or_else(|| {
        if settled {
            from(Source::Callback)
        } else {
            None
        }
    })
}
