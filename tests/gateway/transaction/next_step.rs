//! The conclusions that a caller may draw from a state: its next step, a refund, and the end.

use okebayar_gateway::transaction::{
    ConfirmingCause, Details, FailureReason, NextStep, NotSent, ReviewCause, SerialNumberStatus,
    State, UnknownCause,
};

fn succeeded(serial_number: SerialNumberStatus) -> State {
    State::Succeeded {
        receipt: Details::default(),
        serial_number,
    }
}

fn review(cause: ReviewCause) -> State {
    State::NeedsReview {
        cause,
        receipt: None,
    }
}

/// Every state with every reason: the next step, `safe_to_refund`, `terminal`.
fn table() -> Vec<(State, NextStep, bool, bool)> {
    let open = |state| (state, NextStep::Wait, false, false);
    let failed = |reason, step| (State::Failed(reason), step, true, true);
    let unsent = |why, step| (State::NotSent(why), step, true, false);
    let reviewed = |cause| (review(cause), NextStep::ContactOperator, false, false);
    vec![
        open(State::Sending),
        open(State::Pending),
        open(State::Confirming(ConfirmingCause::Quarantined)),
        open(State::Confirming(ConfirmingCause::Unknown(
            UnknownCause::TimedOut,
        ))),
        // Doubt is not failure, whatever step the failure would allow.
        open(State::Confirming(ConfirmingCause::Unproven(
            FailureReason::BillerTrouble,
        ))),
        open(succeeded(SerialNumberStatus::Pending)),
        (
            succeeded(SerialNumberStatus::Present),
            NextStep::Nothing,
            false,
            true,
        ),
        (
            succeeded(SerialNumberStatus::NotDue),
            NextStep::Nothing,
            false,
            true,
        ),
        (
            succeeded(SerialNumberStatus::NotGiven),
            NextStep::Nothing,
            false,
            true,
        ),
        (
            succeeded(SerialNumberStatus::Missing),
            NextStep::ContactOperator,
            false,
            true,
        ),
        failed(FailureReason::ProductUnavailable, NextStep::BuyAgain),
        failed(FailureReason::BillerTrouble, NextStep::BuyAgain),
        failed(FailureReason::ServerTrouble, NextStep::BuyAgain),
        failed(FailureReason::Cancelled, NextStep::BuyAgain),
        failed(FailureReason::Unidentified, NextStep::BuyAgain),
        failed(FailureReason::NotReceived, NextStep::BuyAgain),
        failed(FailureReason::Resolved, NextStep::BuyAgain),
        failed(FailureReason::DepositExhausted, NextStep::ContactOperator),
        failed(FailureReason::BadFormat, NextStep::ContactOperator),
        failed(FailureReason::GatewayCredentials, NextStep::ContactOperator),
        failed(FailureReason::RequestExpired, NextStep::ContactOperator),
        failed(FailureReason::WrongAccountNumber, NextStep::CorrectAndBuyAgain),
        failed(FailureReason::WrongProductCode, NextStep::CorrectAndBuyAgain),
        failed(FailureReason::CrossRegion, NextStep::CorrectAndBuyAgain),
        failed(FailureReason::AccountCannotReceive, NextStep::CorrectAndBuyAgain),
        failed(FailureReason::ProductAccountMismatch, NextStep::CorrectAndBuyAgain),
        failed(FailureReason::TooManyBills, NextStep::CorrectAndBuyAgain),
        failed(FailureReason::AccountBlacklisted, NextStep::Nothing),
        failed(FailureReason::BillRefused, NextStep::InquireAgain),
        failed(FailureReason::AlreadyPaid, NextStep::DoNotBuyAgain),
        unsent(NotSent::Unreachable, NextStep::RetrySameReference),
        unsent(NotSent::Overloaded, NextStep::RetrySameReference),
        unsent(NotSent::ClaimLost, NextStep::RetrySameReference),
        unsent(NotSent::Quarantined, NextStep::RetrySameReference),
        unsent(NotSent::Expired, NextStep::BuyAgain),
        reviewed(ReviewCause::Contradicted),
        reviewed(ReviewCause::ChecksExhausted),
        reviewed(ReviewCause::PaidMeanwhile),
        (
            State::Reversed {
                receipt: Details::default(),
            },
            NextStep::BuyAgain,
            true,
            true,
        ),
    ]
}

#[test]
fn every_state_and_reason_has_its_next_step_refund_and_end() {
    for (state, step, safe_to_refund, terminal) in table() {
        assert_eq!(state.next_step(), step, "{state:?}");
        assert_eq!(state.safe_to_refund(), safe_to_refund, "{state:?}");
        assert_eq!(state.is_terminal(), terminal, "{state:?}");
        // Money that may be spent is never spent again.
        let may_buy = step.allows_purchase();
        assert!(state.safe_to_refund() || !may_buy, "{state:?}");
    }
}

#[test]
fn table_has_every_failure_reason_and_every_reason_of_not_sent() {
    // Both lists are complete, or they do not compile.
    let failure = |reason| match reason {
        FailureReason::ProductUnavailable
        | FailureReason::BillerTrouble
        | FailureReason::ServerTrouble
        | FailureReason::DepositExhausted
        | FailureReason::WrongAccountNumber
        | FailureReason::WrongProductCode
        | FailureReason::BadFormat
        | FailureReason::GatewayCredentials
        | FailureReason::CrossRegion
        | FailureReason::RequestExpired
        | FailureReason::AccountCannotReceive
        | FailureReason::ProductAccountMismatch
        | FailureReason::TooManyBills
        | FailureReason::Cancelled
        | FailureReason::BillRefused
        | FailureReason::AlreadyPaid
        | FailureReason::AccountBlacklisted
        | FailureReason::NotReceived
        | FailureReason::Resolved
        | FailureReason::Unidentified => 20,
    };
    let unsent = |why| match why {
        NotSent::Unreachable
        | NotSent::Overloaded
        | NotSent::Expired
        | NotSent::ClaimLost
        | NotSent::Quarantined => 5,
    };
    let table = table();
    let states = table.iter().map(|(state, ..)| state);
    let failures: Vec<_> = states
        .clone()
        .filter(|state| matches!(state, State::Failed(_)))
        .collect();
    let not_sent: Vec<_> = states
        .filter(|state| matches!(state, State::NotSent(_)))
        .collect();
    assert_eq!(failures.len(), failure(FailureReason::Resolved));
    assert_eq!(not_sent.len(), unsent(NotSent::Expired));
    for (list, number) in [(&failures, failures.len()), (&not_sent, not_sent.len())] {
        let names: std::collections::BTreeSet<String> =
            list.iter().map(|state| format!("{state:?}")).collect();
        assert_eq!(names.len(), number, "a reason occurs twice");
    }
}
