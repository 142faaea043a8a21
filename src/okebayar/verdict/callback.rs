//! The statement of a callback.

use super::{confirmation::confirmation, ignored::Ignored};
use crate::{
    okebayar::{
        answer::Answer,
        deployment_codes::CodeLists,
        subject::{self, Subject},
    },
    transaction::{AsCheck, Finding, Source, State, Statement, StatusCode},
};

/// Derives the statement of a callback where the configuration trusts callbacks. It proves what the
/// answer to a check would prove, but never that the reference code was not received.
///
/// # Errors
/// [`Ignored`] when it proves nothing.
pub fn of_trusted_callback(
    report: &Answer,
    about: Subject<'_>,
    lists: &CodeLists,
) -> Result<Statement, Ignored> {
    let finding = confirmation(report, about, lists, Source::Callback)?;
    Ok(Statement::new(
        Source::Callback,
        finding,
        report.status_code(),
        subject::details(report, about),
    ))
}

/// Builds the statement of an unconfirmed callback: a hint, never a proof (promise 7).
#[must_use]
pub fn of_callback(report: &Answer) -> Statement {
    Statement::new(
        Source::Callback,
        Finding::Reported,
        report.status_code(),
        report.details.clone(),
    )
}

/// Returns true when a callback with this code only repeats a settled state.
#[must_use]
pub fn agrees(code: StatusCode, with: &State, lists: &CodeLists) -> bool {
    let check = lists.entry(code).check;
    match with {
        State::Succeeded { .. } => matches!(check, AsCheck::Succeeded | AsCheck::Pending),
        State::Failed(_) => check != AsCheck::Succeeded,
        _ => false,
    }
}
