//! The receipt of a success and OKEBAYAR's id of it, collected from the proofs.

use super::{
    code_types::{StatusCode, TraceCode},
    details::{Details, ExtraFields},
    evidence::{EvidenceSet, SeenStatement, rank},
    finding::{Finding, Source},
    intent::Operation,
    state::SerialNumberStatus,
    statement::Statement,
};

/// Builds the receipt: each detail comes from the latest proof of success that has it. So an answer
/// without a serial number and the check that brings the number make one receipt.
pub(super) fn receipt(evidence: &EvidenceSet) -> Details {
    let mut successes: Vec<SeenStatement<'_>> = evidence
        .iter()
        .filter(|(statement, _)| statement.finding == Finding::Succeeded)
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
        if receipt.extra == ExtraFields::default() {
            receipt.extra = details.extra.clone();
        }
    }
    receipt
}

/// Returns the status of the serial number of a success.
///
/// Code 000 means "serial number present" (docs/OKEBAYAR.md, section 5), but some products have
/// none. A purchase with code 000 and no serial number is therefore checked as after 001, until the
/// schedule ends. The answer to a payment has no serial number (section 3), so 000 ends the wait.
pub(super) fn serial_number_status(
    evidence: &EvidenceSet,
    receipt: &Details,
    operation: Operation,
) -> SerialNumberStatus {
    let is_complete = |statement: &Statement| {
        statement.finding == Finding::Succeeded && statement.code == Some(StatusCode::SUCCESS)
    };
    if receipt.serial_number.is_some() {
        SerialNumberStatus::Present
    } else if operation == Operation::PayPostpaid
        && evidence.iter().any(|(statement, _)| is_complete(statement))
    {
        SerialNumberStatus::NotDue
    } else if evidence
        .iter()
        .any(|(statement, _)| statement.finding == Finding::SerialNumberGivenUp)
    {
        SerialNumberStatus::Missing
    } else {
        SerialNumberStatus::Pending
    }
}

/// Returns the trace code of the POST's own answer or, once the outcome is settled, that of a
/// callback. A trace code from a check (docs/OKEBAYAR.md, section 3.2) or an inquiry never counts.
pub(super) fn trace_code(evidence: &EvidenceSet, settled: bool) -> Option<TraceCode> {
    let from = |source: Source| {
        evidence
            .iter()
            .filter(|(statement, _)| {
                statement.source == source && statement.details.trace_code.is_some()
            })
            .filter(|(statement, _)| !statement.is_about_inquiry())
            .max_by_key(rank)
            .and_then(|(statement, _)| statement.details.trace_code.clone())
    };
    from(Source::Answer).or_else(|| {
        if settled {
            from(Source::Callback)
        } else {
            None
        }
    })
}
