//! Derives the status of a transaction from its set of evidence (promises 4 and 8).
//!
//! The fold depends on the set alone, never on the order of arrival: the same evidence gives the
//! same status, regardless of its order and repetitions. The rules of [`conclude`] are in order of
//! precedence. Those that settle a transaction precede those that do not, so a settled state can
//! change to NEEDS_REVIEW only. An operator's resolution precedes all of them; it holds
//! until a proof that the operator had not seen contradicts it.

use super::{
    code_types::StatusCode,
    details::Details,
    evidence::{Coded, EvidenceSet, code_of, latest},
    finding::{FailureReason, Finding, NotSent, Source, UnknownCause, Verdict},
    intent::Operation,
    proof::{Proof, proof, proven_failure, reports_post, unsent, was_never_received},
    receipt::{receipt, serial_number_status, trace_code},
    rules::{LatestAttempt, Rules},
    state::{ConfirmingCause, ReviewCause, SerialNumberStatus, State, TransactionStatus},
    statement::{Resolution, Statement},
};

/// Derives the status of a transaction from its evidence.
#[must_use]
pub fn fold(evidence: &EvidenceSet, attempt: LatestAttempt, rules: &Rules) -> TransactionStatus {
    let attempt = attempt.given(evidence);
    let (state, code) =
        resolved(evidence, attempt, rules).unwrap_or_else(|| conclude(evidence, attempt, rules));
    let reported = latest(evidence, |statement, _| {
        (statement.finding == Finding::Reported).then_some(())
    });
    TransactionStatus {
        trace_code: trace_code(evidence, state.is_settled()),
        reported: code_of(reported),
        state,
        code,
    }
}

/// Returns the latest proven success.
fn latest_success(evidence: &EvidenceSet) -> Option<Coded<()>> {
    latest(evidence, |statement, _| {
        (statement.finding == Finding::Succeeded).then_some(())
    })
}

/// An operator's decision in the evidence.
struct Decision<'a> {
    verdict: Verdict,
    resolution: &'a Resolution,
    statement: &'a Statement,
}

/// Returns the operators' decisions that no later decision has seen, and so replaced.
fn decisions_in_force(evidence: &EvidenceSet) -> Vec<Decision<'_>> {
    let decisions: Vec<Decision<'_>> = evidence
        .iter()
        .filter_map(|(statement, _)| match statement.finding {
            Finding::Resolved(verdict) => Some(Decision {
                verdict,
                resolution: statement.resolution.as_deref()?,
                statement,
            }),
            _ => None,
        })
        .collect();
    let is_replaced = |decision: &Decision<'_>| {
        let identity = decision.statement.identity();
        decisions
            .iter()
            .any(|by| by.resolution.saw.contains(&identity))
    };
    let in_force: Vec<bool> = decisions.iter().map(|one| !is_replaced(one)).collect();
    let decisions = decisions.into_iter().zip(in_force);
    decisions
        .filter_map(|(decision, in_force)| in_force.then_some(decision))
        .collect()
}

/// Returns the state that operators decided, if they did, and the status code of the success.
fn resolved(
    evidence: &EvidenceSet,
    attempt: LatestAttempt,
    rules: &Rules,
) -> Option<(State, Option<StatusCode>)> {
    let decisions = decisions_in_force(evidence);
    let Decision {
        verdict,
        resolution,
        ..
    } = *decisions.first()?;
    let success = latest_success(evidence);
    let mut receipt = receipt(evidence);
    receipt.serial_number = receipt
        .serial_number
        .or_else(|| resolution.serial_number.clone());
    let is_contradicted = decisions.iter().any(|other| other.verdict != verdict)
        || evidence.iter().any(|entry| {
            let contradicts = match (proof(entry, attempt, rules), verdict) {
                (Some(Proof::Failure), Verdict::Succeeded)
                | (Some(Proof::Success), Verdict::Failed) => true,
                (_, Verdict::Succeeded | Verdict::Failed | Verdict::Reversed) => false,
            };
            contradicts && !resolution.saw.contains(&entry.0.identity())
        });
    let state = if is_contradicted {
        State::NeedsReview {
            cause: ReviewCause::Contradicted,
            receipt: success.map(|_| receipt),
        }
    } else {
        decided_state(verdict, receipt, attempt.operation)
    };
    Some((state, code_of(success)))
}

/// Returns the state that a verdict makes of a transaction.
fn decided_state(verdict: Verdict, receipt: Details, operation: Operation) -> State {
    match verdict {
        Verdict::Failed => State::Failed(FailureReason::Resolved),
        Verdict::Reversed => State::Reversed { receipt },
        Verdict::Succeeded => {
            let serial_number = match (&receipt.serial_number, operation) {
                (Some(_), _) => SerialNumberStatus::Present,
                (None, Operation::PayPostpaid) => SerialNumberStatus::NotDue,
                (None, Operation::PurchasePrepaid) => SerialNumberStatus::NotGiven,
            };
            State::Succeeded {
                receipt,
                serial_number,
            }
        }
    }
}

/// The evidence as [`conclude`] weighs it: each fact with the status code of its latest statement.
struct EvidenceSummary {
    success: Option<Coded<()>>,
    failure: Option<Coded<FailureReason>>,
    not_sent: Option<Coded<NotSent>>,
    paid_meanwhile: Option<Coded<()>>,
    doubtful: Option<Coded<FailureReason>>,
    pending: Option<Coded<()>>,
    unknown: Option<Coded<UnknownCause>>,
    has_given_up: bool,
    is_contradicted: bool,
}

impl EvidenceSummary {
    fn gather(evidence: &EvidenceSet, attempt: LatestAttempt, rules: &Rules) -> Self {
        let is = |wanted: Finding| {
            latest(evidence, |statement, _| {
                (statement.finding == wanted).then_some(())
            })
        };
        let success = latest_success(evidence);
        let failure = latest(evidence, |statement, seen| {
            proven_failure(statement, seen, attempt, rules)
        });
        let not_sent = latest(evidence, |statement, seen| {
            unsent(statement, seen, attempt, rules)
        });
        let doubtful = latest(evidence, |statement, seen| match statement.finding {
            _ if !attempt.concerns(seen.last) => None,
            Finding::Doubtful(reason) => Some(reason),
            Finding::NotReceived => Some(FailureReason::NotReceived),
            _ => None,
        });
        // A check that shows OKEBAYAR's record and decides nothing leaves the state as it is.
        let unknown = latest(evidence, |statement, seen| match statement.finding {
            Finding::Unknown(why)
                if statement.source != Source::Check && attempt.concerns(seen.last) =>
            {
                Some(why)
            }
            _ => None,
        });
        let is_received = shows_that_one_was_sent(evidence, attempt, not_sent.is_some());
        let is_never_received = evidence.iter().any(|(statement, seen)| {
            statement.finding == Finding::NotReceived && was_never_received(seen, attempt, rules)
        });
        let is_contradicted = success.is_some() && (failure.is_some() || not_sent.is_some())
            || is_received && (not_sent.is_some() || is_never_received);
        Self {
            success,
            failure,
            not_sent,
            paid_meanwhile: is(Finding::PaidMeanwhile),
            doubtful,
            pending: is(Finding::Pending),
            unknown,
            has_given_up: is(Finding::ChecksExhausted).is_some(),
            is_contradicted,
        }
    }

    /// Returns the status code to show when the checks end without a proof.
    fn code_when_given_up(&self) -> Option<StatusCode> {
        let codes = [
            code_of(self.success),
            code_of(self.failure),
            code_of(self.doubtful),
            code_of(self.pending),
        ];
        codes.into_iter().flatten().next()
    }
}

/// Returns true when OKEBAYAR received the reference code, or a POST of it was sent.
///
/// A POST with an unknown outcome was sent. Beside proof that nothing was sent, it belongs to a
/// later attempt that the store has lost. A POST whose sender is lost may never have left.
fn shows_that_one_was_sent(
    evidence: &EvidenceSet,
    attempt: LatestAttempt,
    is_not_sent: bool,
) -> bool {
    let is_lost =
        |statement: &Statement| statement.finding == Finding::Unknown(UnknownCause::SenderLost);
    let was_sent = evidence
        .iter()
        .any(|entry| reports_post(entry, attempt) && !is_lost(entry.0));
    evidence.shows_receipt() || was_sent && is_not_sent
}

/// Returns the state by the first rule that applies, and the status code on which it rests.
fn conclude(
    evidence: &EvidenceSet,
    attempt: LatestAttempt,
    rules: &Rules,
) -> (State, Option<StatusCode>) {
    let facts = EvidenceSummary::gather(evidence, attempt, rules);
    let review = |cause| {
        let receipt = facts.success.map(|_| receipt(evidence));
        State::NeedsReview { cause, receipt }
    };
    if facts.is_contradicted {
        return (review(ReviewCause::Contradicted), code_of(facts.success));
    }
    if facts.has_given_up {
        let code = facts.code_when_given_up();
        return (review(ReviewCause::ChecksExhausted), code);
    }
    if let Some(((), code)) = facts.paid_meanwhile {
        return (review(ReviewCause::PaidMeanwhile), code);
    }
    if let Some(((), code)) = facts.success {
        let receipt = receipt(evidence);
        let serial_number = serial_number_status(evidence, &receipt, attempt.operation);
        let state = State::Succeeded {
            receipt,
            serial_number,
        };
        return (state, code);
    }
    if let Some((reason, code)) = facts.failure {
        return (State::Failed(reason), code);
    }
    if let Some((why, code)) = facts.not_sent {
        return (State::NotSent(why), code);
    }
    if let Some((reason, code)) = facts.doubtful {
        return (State::Confirming(ConfirmingCause::Unproven(reason)), code);
    }
    if let Some(((), code)) = facts.pending {
        return (State::Pending, code);
    }
    match facts.unknown {
        Some((why, code)) => (State::Confirming(ConfirmingCause::Unknown(why)), code),
        None if attempt.is_quarantined => (State::Confirming(ConfirmingCause::Quarantined), None),
        None => (State::Sending, None),
    }
}
