//! From the set of evidence to the standing of the transaction (promises 4 and 8).
//!
//! The fold looks at the set, never at an order of arrival: whatever way the
//! evidence came, and however often, the standing is the same. Each rule below
//! wins over the ones after it, and a settled state can be left only towards
//! NEEDS_REVIEW, because the rules that settle come before those that do not. A
//! human's resolution comes first of all; it stands until a proof that its author
//! had not seen contradicts it.

use super::{
    codes::StatusCode,
    evidence::{EvidenceSet, code_of, latest},
    finding::{FailureReason, Finding, Source, UnknownCause, Verdict},
    intent::Operation,
    proof::{Proof, proof, proven_failure, reports_post, unsent, was_never_received},
    receipt::{receipt, serial_number_status, trace_code},
    rules::{LatestAttempt, Rules},
    state::{ConfirmingCause, ReviewCause, SerialNumberStatus, State, TransactionStatus},
    statement::{Resolution, Statement},
};

/// What the evidence amounts to.
#[must_use]
pub fn fold(evidence: &EvidenceSet, about: LatestAttempt, rules: &Rules) -> TransactionStatus {
    let about = about.given(evidence);
    let (state, code) =
        resolved(evidence, about, rules).unwrap_or_else(|| conclude(evidence, about, rules));
    let reported = latest(evidence, |said, _| {
        (said.finding == Finding::Reported).then_some(())
    });
    TransactionStatus {
        trace_code: trace_code(evidence, state.is_settled()),
        reported: reported.and_then(|((), code)| code),
        state,
        code,
    }
}

/// What humans decided, if they did: the last word is with a resolution that no
/// other one has seen.
fn resolved(
    evidence: &EvidenceSet,
    about: LatestAttempt,
    rules: &Rules,
) -> Option<(State, Option<StatusCode>)> {
    let decisions: Vec<(Verdict, &Resolution, &Statement)> = evidence
        .iter()
        .filter_map(|(said, _)| match said.finding {
            Finding::Resolved(verdict) => Some((verdict, said.resolution.as_deref()?, said)),
            _ => None,
        })
        .collect();
    let is_overruled = |said: &Statement| {
        let identity = said.identity();
        decisions
            .iter()
            .any(|(_, by, _)| by.saw.contains(&identity))
    };
    let standing: Vec<_> = decisions
        .iter()
        .filter(|(_, _, said)| !is_overruled(said))
        .collect();
    let (verdict, resolution, _) = **standing.first()?;
    let mut receipt = receipt(evidence);
    receipt.serial_number = receipt
        .serial_number
        .or_else(|| resolution.serial_number.clone());
    let has_success = latest(evidence, |said, _| {
        (said.finding == Finding::Succeeded).then_some(())
    });
    let is_contradicted = standing.iter().any(|(other, _, _)| *other != verdict)
        || evidence.iter().any(|entry| {
            let contradicts = match (proof(entry, about, rules), verdict) {
                (Some(Proof::Failure), Verdict::Succeeded)
                | (Some(Proof::Success), Verdict::Failed) => true,
                (_, Verdict::Succeeded | Verdict::Failed | Verdict::Reversed) => false,
            };
            contradicts && !resolution.saw.contains(&entry.0.identity())
        });
    let state = if is_contradicted {
        State::NeedsReview {
            cause: ReviewCause::Contradicted,
            receipt: has_success.map(|_| receipt),
        }
    } else {
        match verdict {
            Verdict::Failed => State::Failed(FailureReason::Resolved),
            Verdict::Reversed => State::Reversed { receipt },
            Verdict::Succeeded => {
                let serial_number = match (&receipt.serial_number, about.operation) {
                    (Some(_), _) => SerialNumberStatus::Present,
                    (None, Operation::PayPostpaid) => SerialNumberStatus::NotDue,
                    (None, Operation::PurchasePrepaid) => SerialNumberStatus::Missing,
                };
                State::Succeeded {
                    receipt,
                    serial_number,
                }
            }
        }
    };
    Some((state, code_of(has_success)))
}

/// The state, and the status code on which it rests.
fn conclude(
    evidence: &EvidenceSet,
    about: LatestAttempt,
    rules: &Rules,
) -> (State, Option<StatusCode>) {
    let is = |wanted: Finding| latest(evidence, |said, _| (said.finding == wanted).then_some(()));
    let success = is(Finding::Succeeded);
    let pending = is(Finding::Pending);
    let gave_up = is(Finding::ChecksExhausted);
    let paid_meanwhile = is(Finding::PaidMeanwhile);
    let failure = latest(evidence, |said, seen| {
        proven_failure(said, seen, about, rules)
    });
    let not_sent = latest(evidence, |said, seen| unsent(said, seen, about, rules));
    let doubtful = latest(evidence, |said, seen| match said.finding {
        _ if !about.concerns(seen.last) => None,
        Finding::Doubtful(reason) => Some(reason),
        Finding::NotReceived => Some(FailureReason::NotReceived),
        _ => None,
    });
    // A check that shows OKEBAYAR's record and decides nothing leaves the state as it is.
    let unknown = latest(evidence, |said, seen| match said.finding {
        Finding::Unknown(why) if said.source != Source::Check && about.concerns(seen.last) => {
            Some(why)
        }
        _ => None,
    });
    let never_received = evidence.iter().any(|(said, seen)| {
        said.finding == Finding::NotReceived && was_never_received(seen, about, rules)
    });
    // A POST whose outcome is unknown was sent. Beside proof that nothing was, it is one of a
    // later attempt, which the store has lost.
    // One whose sender is lost may never have left.
    let is_lost = |said: &Statement| said.finding == Finding::Unknown(UnknownCause::SenderLost);
    let was_sent = evidence
        .iter()
        .any(|entry| reports_post(entry, about) && !is_lost(entry.0));
    let received = evidence.shows_receipt() || was_sent && not_sent.is_some();

    let review = |cause| {
        let receipt = success.map(|_| receipt(evidence));
        State::NeedsReview { cause, receipt }
    };
    let spent = success.is_some();
    if spent && (failure.is_some() || not_sent.is_some())
        || received && (not_sent.is_some() || never_received)
    {
        return (review(ReviewCause::Contradicted), code_of(success));
    }
    if gave_up.is_some() {
        let code = [
            code_of(success),
            code_of(failure),
            code_of(doubtful),
            code_of(pending),
        ];
        return (
            review(ReviewCause::ChecksExhausted),
            code.into_iter().flatten().next(),
        );
    }
    if let Some(((), code)) = paid_meanwhile {
        return (review(ReviewCause::PaidMeanwhile), code);
    }
    if let Some(((), code)) = success {
        let receipt = receipt(evidence);
        let serial_number = serial_number_status(evidence, &receipt, about.operation);
        return (
            State::Succeeded {
                receipt,
                serial_number,
            },
            code,
        );
    }
    if let Some((reason, code)) = failure {
        return (State::Failed(reason), code);
    }
    if let Some((why, code)) = not_sent {
        return (State::NotSent(why), code);
    }
    if let Some((reason, code)) = doubtful {
        return (State::Confirming(ConfirmingCause::Unproven(reason)), code);
    }
    if let Some(((), code)) = pending {
        return (State::Pending, code);
    }
    match unknown {
        Some((why, code)) => (State::Confirming(ConfirmingCause::Unknown(why)), code),
        None if about.is_quarantined => (State::Confirming(ConfirmingCause::Quarantined), None),
        None => (State::Sending, None),
    }
}
