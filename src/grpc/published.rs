//! The published facts of errors and outcomes, derived from the code that builds them.
//! docs/ERRORS.md is rendered from it.

use tonic::Code;

use super::{
    contract::v1::{self, ErrorReason},
    error_reason, next_step_message, reason_message, transaction_message,
};
use crate::{
    purchase::Sent,
    transaction::{
        AsCheck, AsPurchase, ConfirmingCause, Details, FailureReason, NextStep, NotSent,
        ReviewCause, SerialNumberStatus, State, StatusCode, TransactionStatus, UnknownCause,
    },
};

/// The published facts of one error reason.
#[derive(Clone, Debug)]
pub struct ErrorReasonFacts {
    /// The reason.
    pub reason: ErrorReason,
    /// The `reason` of the `ErrorInfo`.
    pub name: &'static str,
    /// The gRPC codes of its errors.
    pub codes: &'static [Code],
    /// The values of the metadata key `next_step` while nothing was sent under the reference code:
    /// the usual one first. Empty for reasons that a purchase or payment never has.
    pub next_steps: Vec<v1::NextStep>,
    /// The metadata keys that its errors may have, besides `sent` and `next_step`.
    pub metadata: &'static [&'static str],
    /// True if its errors hold a `RetryInfo`.
    pub has_retry_info: bool,
}

/// The published facts of one outcome: a state with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeFacts {
    /// The state.
    pub state: v1::TransactionState,
    /// The reason.
    pub reason: v1::TransactionReason,
    /// The condition that distinguishes successes; empty otherwise.
    pub condition: &'static str,
    /// The next step of the caller.
    pub next_step: v1::NextStep,
    /// True if no further change is expected.
    pub is_terminal: bool,
    /// True if the customer may be refunded.
    pub is_safe_to_refund: bool,
}

/// Returns the facts of every error reason, in the order of their numbers.
#[must_use]
pub fn error_reasons() -> Vec<ErrorReasonFacts> {
    let reasons = (1..).map_while(|number| ErrorReason::try_from(number).ok());
    reasons
        .map(|reason| {
            let steps: [Option<NextStep>; 2] = [
                error_reason::next_step(reason, Sent::No),
                error_reason::other_next_step(reason),
            ];
            ErrorReasonFacts {
                reason,
                name: error_reason::name(reason),
                codes: error_reason::codes(reason),
                next_steps: steps
                    .into_iter()
                    .flatten()
                    .map(next_step_message::build)
                    .collect(),
                metadata: error_reason::metadata(reason),
                has_retry_info: error_reason::has_retry_info(reason),
            }
        })
        .collect()
}

/// Returns the facts of every outcome that a transaction can have.
#[must_use]
pub fn outcomes() -> Vec<OutcomeFacts> {
    let mut outcomes = Vec::new();
    for (state, code) in states() {
        let facts = facts_of(state, code);
        if !outcomes.contains(&facts) {
            outcomes.push(facts);
        }
    }
    outcomes
}

fn facts_of(state: State, code: Option<StatusCode>) -> OutcomeFacts {
    let condition = match &state {
        State::Succeeded { serial_number, .. } => condition_of(*serial_number),
        _ => "",
    };
    let status = TransactionStatus {
        state,
        code,
        trace_code: None,
        reported: None,
    };
    OutcomeFacts {
        state: transaction_message::state_of(&status.state),
        reason: reason_message::build(&status),
        condition,
        next_step: next_step_message::build(status.state.next_step()),
        is_terminal: status.state.is_terminal(),
        is_safe_to_refund: status.state.safe_to_refund(),
    }
}

/// Returns the status of a serial number as the fields of a transaction show it.
fn condition_of(serial_number: SerialNumberStatus) -> &'static str {
    match serial_number {
        SerialNumberStatus::Present => "`serial_number` is present",
        SerialNumberStatus::Pending => "`serial_number_pending`",
        SerialNumberStatus::Missing => "`serial_number_missing`: the checks ended without it",
        SerialNumberStatus::NotGiven => "`serial_number_missing`: an operator resolved without it",
        SerialNumberStatus::NotDue => "no serial number is due",
    }
}

/// Returns every state, with each cause and the status code on which it rests.
fn states() -> Vec<(State, Option<StatusCode>)> {
    let mut states = vec![(State::Sending, None), (State::Pending, None)];
    states.extend(confirming_causes().map(|(cause, code)| (State::Confirming(cause), code)));
    let serial_numbers = [
        SerialNumberStatus::Present,
        SerialNumberStatus::NotDue,
        SerialNumberStatus::Pending,
        SerialNumberStatus::Missing,
        SerialNumberStatus::NotGiven,
    ];
    states.extend(serial_numbers.map(|serial_number| {
        let receipt = Details::default();
        let succeeded = State::Succeeded {
            receipt,
            serial_number,
        };
        (succeeded, None)
    }));
    states.extend(failures().map(|(why, code)| (State::Failed(why), code)));
    let not_sent = [
        NotSent::Unreachable,
        NotSent::Overloaded,
        NotSent::ClaimLost,
        NotSent::Quarantined,
        NotSent::Expired,
    ];
    states.extend(not_sent.map(|why| (State::NotSent(why), None)));
    let reviews = [
        ReviewCause::Contradicted,
        ReviewCause::ChecksExhausted,
        ReviewCause::PaidMeanwhile,
    ];
    states.extend(reviews.map(|cause| {
        let receipt = None;
        (State::NeedsReview { cause, receipt }, None)
    }));
    let receipt = Details::default();
    states.push((State::Reversed { receipt }, None));
    states
}

/// Returns the causes of an unknown outcome.
fn confirming_causes() -> impl Iterator<Item = (ConfirmingCause, Option<StatusCode>)> {
    let unknown = [
        UnknownCause::TimedOut,
        UnknownCause::Broken,
        UnknownCause::SenderLost,
        UnknownCause::HttpStatus(500),
        UnknownCause::Unreadable,
        UnknownCause::AboutAnother,
        UnknownCause::AboutInquiry,
        UnknownCause::Inconclusive,
    ];
    let unknown = unknown.map(|why| (ConfirmingCause::Unknown(why), None));
    let doubtful = status_codes().filter(|code| {
        let entry = code.entry();
        entry.purchase == AsPurchase::Doubtful || entry.check == AsCheck::Doubtful
    });
    let doubtful = doubtful.map(|code| (code.entry().reason(), Some(code)));
    // "Never received" is a doubt until it is old enough to be a failure.
    let unproven = doubtful
        .chain([(FailureReason::NotReceived, None)])
        .map(|(why, code)| (ConfirmingCause::Unproven(why), code));
    let quarantined = (ConfirmingCause::Quarantined, None);
    unknown.into_iter().chain([quarantined]).chain(unproven)
}

/// Returns the reasons of failures: those of OKEBAYAR's status codes, and those without one.
fn failures() -> impl Iterator<Item = (FailureReason, Option<StatusCode>)> {
    let by_code =
        status_codes().filter_map(|code| Some((code.entry().documented_reason()?, Some(code))));
    by_code.chain([
        (FailureReason::BillRefused, None),
        (FailureReason::NotReceived, None),
        (FailureReason::Resolved, None),
    ])
}

/// Returns every status code, documented or not.
fn status_codes() -> impl Iterator<Item = StatusCode> {
    (0..=999).filter_map(|number| StatusCode::read(&format!("{number:03}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Returns the numbers of an enum of the contract, without UNSPECIFIED.
    fn numbers(is_value: impl Fn(i32) -> bool) -> BTreeSet<i32> {
        (1..1000).filter(|number| is_value(*number)).collect()
    }

    #[test]
    fn every_error_reason_has_facts() {
        let listed = error_reasons()
            .iter()
            .map(|facts| facts.reason as i32)
            .collect();
        assert_eq!(
            numbers(|number| ErrorReason::try_from(number).is_ok()),
            listed
        );
    }

    #[test]
    fn every_state_and_reason_is_an_outcome() {
        let outcomes = outcomes();
        let states = outcomes
            .iter()
            .map(|outcome| outcome.state as i32)
            .collect();
        let reasons: BTreeSet<i32> = outcomes
            .iter()
            .map(|outcome| outcome.reason as i32)
            .filter(|reason| *reason != 0)
            .collect();
        assert_eq!(
            numbers(|number| v1::TransactionState::try_from(number).is_ok()),
            states
        );
        assert_eq!(
            numbers(|number| v1::TransactionReason::try_from(number).is_ok()),
            reasons
        );
    }

    #[test]
    fn every_next_step_follows_from_an_outcome_or_error() {
        let of_outcomes = outcomes().into_iter().map(|outcome| outcome.next_step);
        let of_errors = error_reasons()
            .into_iter()
            .flat_map(|facts| facts.next_steps);
        let steps = of_outcomes
            .chain(of_errors)
            .map(|step| step as i32)
            .collect();
        assert_eq!(
            numbers(|number| v1::NextStep::try_from(number).is_ok()),
            steps
        );
    }

    #[test]
    fn standard_retry_policies_repeat_only_what_may_be_repeated() {
        let never = [
            v1::NextStep::ContactOperator,
            v1::NextStep::ReadTransaction,
            v1::NextStep::DoNotBuyAgain,
            v1::NextStep::BuyAgain,
        ];
        for facts in error_reasons() {
            let is_repeated = facts.codes.contains(&Code::Unavailable);
            let forbids = facts.next_steps.iter().any(|step| never.contains(step));
            let is_any = facts.reason == ErrorReason::RefusedByServer;
            assert!(is_any || !(is_repeated && forbids), "{}", facts.name);
        }
    }
}
