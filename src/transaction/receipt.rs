//! What the proofs of a success tell: the receipt and OKEBAYAR's id.

use super::{
    codes::{StatusCode, TraceCode},
    details::{Details, ExtraFields},
    evidence::{EvidenceSet, SeenStatement, rank},
    finding::{Finding, Source},
    intent::Operation,
    state::SerialNumberStatus,
    statement::Statement,
};

/// Each detail from the success seen last that has it: an answer without a
/// serial number and the check that brings it make one receipt.
pub(super) fn receipt(evidence: &EvidenceSet) -> Details {
    let mut successes: Vec<SeenStatement<'_>> = evidence
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
        if receipt.extra == ExtraFields::default() {
            receipt.extra = details.extra.clone();
        }
    }
    receipt
}

/// A success with code 000 and no serial number has none to come (000 means
/// "serial number present", API page section 5, yet some products have none):
/// it is awaited all the same, as after 001, until the schedule ends. A payment's
/// answer has none (section 3), so after 000 nothing is awaited.
pub(super) fn serial_number_status(
    evidence: &EvidenceSet,
    receipt: &Details,
    operation: Operation,
) -> SerialNumberStatus {
    let is_complete = |said: &Statement| {
        said.finding == Finding::Succeeded && said.code == Some(StatusCode::SUCCESS)
    };
    if receipt.serial_number.is_some() {
        SerialNumberStatus::Present
    } else if operation == Operation::PayPostpaid
        && evidence.iter().any(|(said, _)| is_complete(said))
    {
        SerialNumberStatus::NotDue
    } else if evidence
        .iter()
        .any(|(said, _)| said.finding == Finding::SerialNumberGivenUp)
    {
        SerialNumberStatus::Missing
    } else {
        SerialNumberStatus::Pending
    }
}

/// Returns the trace code of the POST's own answer, else that of a callback once the outcome is
/// settled; never one first seen in a check (API page, 3.2), or that of an inquiry.
pub(super) fn trace_code(evidence: &EvidenceSet, settled: bool) -> Option<TraceCode> {
    let from = |source: Source| {
        evidence
            .iter()
            .filter(|(said, _)| said.source == source && said.details.trace_code.is_some())
            .filter(|(said, _)| !said.is_about_inquiry())
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
