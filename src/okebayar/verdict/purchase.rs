//! The statement of the POST's own answer.

use super::mismatched::mismatched;
use crate::{
    okebayar::{
        answer::Answer, deployment_codes::CodeLists, mismatch::Mismatch, subject::mismatch,
    },
    transaction::{AsPurchase, Finding, Source, Statement, Transaction, UnknownCause},
};

/// Derives the statement of the answer to a purchase or payment.
///
/// A success or a failure counts only if the answer carries our reference code or a trace code: a
/// bare status may come from a gateway or proxy in between, which uses 200, 401, 404 and 500 in
/// another sense. Only a refusal of our credentials may lack both: OKEBAYAR may not have read
/// further, and processed nothing.
#[must_use]
pub fn of_purchase(answer: &Answer, asked: &Transaction, lists: &CodeLists) -> Statement {
    let unknown = |why| {
        Statement::new(
            Source::Answer,
            Finding::Unknown(why),
            answer.status_code(),
            answer.details.clone(),
        )
    };
    // This comes first: another member's trace code must not become ours.
    if answer.names_another_member {
        return Statement::bare(Source::Answer, Finding::Unknown(UnknownCause::AboutAnother));
    }
    if answer.is_inquiry {
        return unknown(UnknownCause::AboutInquiry);
    }
    match mismatch(answer, asked, lists) {
        None => {}
        Some(Mismatch::Transaction) => {
            return Statement::bare(Source::Answer, Finding::Unknown(UnknownCause::AboutAnother));
        }
        Some(differs) => return mismatched(Source::Answer, answer, differs),
    }
    let Some(code) = answer.status_code() else {
        return unknown(UnknownCause::Unreadable);
    };
    let is_signed = answer.reference_code.is_some() || answer.details.trace_code.is_some();
    let entry = lists.entry(code);
    let finding = match entry.purchase {
        AsPurchase::Succeeded | AsPurchase::Failed if !is_signed => {
            return unknown(UnknownCause::Inconclusive);
        }
        AsPurchase::Succeeded => Finding::Succeeded,
        AsPurchase::Pending => Finding::Pending,
        AsPurchase::Failed | AsPurchase::CredentialsRefused => Finding::Failed(entry.reason()),
        AsPurchase::Doubtful => Finding::Doubtful(entry.reason()),
        AsPurchase::Inconclusive => return unknown(UnknownCause::Inconclusive),
    };
    Statement::new(Source::Answer, finding, Some(code), answer.details.clone())
}

/// Returns the one field for which an answer to the order proves nothing; `None` when nothing
/// differs, or the answer proves nothing for another reason.
#[must_use]
pub fn difference(answer: &Answer, asked: &Transaction, lists: &CodeLists) -> Option<Mismatch> {
    let is_ours = !answer.names_another_member && !answer.is_inquiry;
    let found = is_ours.then(|| mismatch(answer, asked, lists)).flatten();
    found.filter(|differs| *differs != Mismatch::Transaction)
}
