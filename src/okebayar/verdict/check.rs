//! The statement of the answer to a status check.

use super::{confirmation::confirmation, ignored::Ignored, mismatched::mismatched};
use crate::{
    okebayar::{
        answer::Answer,
        deployment_codes::CodeLists,
        subject::{self, Subject, other_reference, shows_record},
    },
    transaction::{AsCheck, Finding, Source, Statement, StatusCode, UnknownCause},
};

/// Derives the statement of the answer to a status check.
///
/// # Errors
/// [`Ignored`] when it proves nothing: the transaction must not change.
pub fn of_check(
    answer: &Answer,
    subject: Subject<'_>,
    lists: &CodeLists,
) -> Result<Statement, Ignored> {
    let finding = confirmation(answer, subject, lists, Source::Check)?;
    Ok(Statement::new(
        Source::Check,
        finding,
        answer.status_code(),
        subject::details(answer, subject),
    ))
}

/// Derives the statement of an ignored answer to a check; `None` when there is nothing to keep. It
/// settles nothing. Either it shows that OKEBAYAR received the reference code, which contradicts
/// every later "never received", or it records an answer that names another account number,
/// product or inquiry.
#[must_use]
pub fn of_ignored_check(answer: &Answer, lists: &CodeLists, ignored: Ignored) -> Option<Statement> {
    let code = answer.status_code();
    let shows = match ignored {
        Ignored::Differs(differs) => return Some(mismatched(Source::Check, answer, differs)),
        Ignored::AboutAnother | Ignored::AboutAnotherMember | Ignored::AboutInquiry => false,
        // The purchase, an inquiry or the check itself succeeded: OKEBAYAR may know the code.
        Ignored::MayBeInquiry | Ignored::MayMeanTheCheck
            if code.is_some_and(|code| is_receipt(code, lists)) =>
        {
            true
        }
        // The trace code does not count: it may be an echo, and the POST's own answer showed it.
        _ => shows_record(answer),
    };
    let finding = Finding::Unknown(UnknownCause::Inconclusive);
    shows.then(|| Statement::new(Source::Check, finding, code, answer.details.clone()))
}

/// Returns true for the codes that show that OKEBAYAR received something. Failures do not: OKEBAYAR
/// may answer any of them for a reference code that it does not have.
fn is_receipt(code: StatusCode, lists: &CodeLists) -> bool {
    let is_not_received = lists.not_received.contains(&code);
    let check = lists.entry(code).check;
    !is_not_received && matches!(check, AsCheck::Succeeded | AsCheck::Pending)
}

/// Returns true when an ignored answer to a check shows no sign of the transaction: OKEBAYAR may
/// not know the reference code.
#[must_use]
pub fn shows_no_sign(answer: &Answer, lists: &CodeLists, ignored: Ignored) -> bool {
    matches!(ignored, Ignored::MayMeanNotFound | Ignored::MayBeInquiry)
        && !shows_record(answer)
        && answer
            .status_code()
            .is_some_and(|code| may_be_unknown(code, lists))
}

/// Returns true for the codes of a check that may mean that OKEBAYAR does not know the reference
/// code: any failure, except those about the check itself, and 401, because our own payment may
/// have paid the bill.
#[must_use]
pub fn may_be_unknown(code: StatusCode, lists: &CodeLists) -> bool {
    let check = lists.entry(code).check;
    lists.not_received.contains(&code) || matches!(check, AsCheck::Failed | AsCheck::BillRefused)
}

/// The status of a reference code that the store does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceStatus {
    /// The status code.
    pub code: StatusCode,
    /// The answer shows a record under the reference code, independent of the status.
    pub shows_record: bool,
}

/// Reads the status of a reference code that the store does not know, from the answer to its check.
///
/// # Errors
/// [`Ignored`] when the answer is about something else.
pub fn of_unknown(answer: &Answer, reference_code: &str) -> Result<ReferenceStatus, Ignored> {
    if answer.is_inquiry {
        return Err(Ignored::AboutInquiry);
    }
    if answer.names_another_member {
        return Err(Ignored::AboutAnotherMember);
    }
    let named = answer.reference_code.as_ref();
    if named.is_none() || other_reference(named, reference_code) {
        return Err(Ignored::AboutAnother);
    }
    match answer.status_code() {
        Some(code) if code.entry().check == AsCheck::AboutCheck => Err(Ignored::AboutTheCheck),
        Some(code) => Ok(ReferenceStatus {
            code,
            shows_record: shows_record(answer),
        }),
        None => Err(Ignored::NoStatus),
    }
}
