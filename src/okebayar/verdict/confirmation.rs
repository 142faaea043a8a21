//! The finding of an answer to a status check, or of a trusted callback.

use super::ignored::Ignored;
use crate::{
    okebayar::{
        answer::Answer,
        deployment_codes::CodeLists,
        mismatch::Mismatch,
        subject::{
            Subject, mismatch, names_own_trace, shows_purchase, shows_record, shows_record_of,
        },
    },
    transaction::{AsCheck, Finding, Source, StatusCode},
};

/// Derives the finding of an answer that is not the POST's own.
///
/// # Errors
/// [`Ignored`] when the answer proves nothing.
pub(super) fn confirmation(
    answer: &Answer,
    subject: Subject<'_>,
    lists: &CodeLists,
    source: Source,
) -> Result<Finding, Ignored> {
    if answer.names_another_member {
        return Err(Ignored::AboutAnotherMember);
    }
    if answer.is_inquiry {
        return Err(Ignored::AboutInquiry);
    }
    match mismatch(answer, subject.transaction, lists) {
        None if answer.reference_code.is_some() => {}
        None | Some(Mismatch::Transaction) => return Err(Ignored::AboutAnother),
        Some(differs) => return Err(Ignored::Differs(differs)),
    }
    let code = answer.status_code().ok_or(Ignored::NoStatus)?;
    if lists.not_received.contains(&code) {
        return not_received(answer, subject, code, source);
    }
    let entry = lists.entry(code);
    if entry.check == AsCheck::AboutCheck {
        return Err(Ignored::AboutTheCheck);
    }
    let is_own_hit = names_own_trace(answer, subject);
    // In the answer to a check the trace code may be an echo. A callback answers no request.
    let is_proven_ours = is_own_hit && source == Source::Callback;
    let is_ambiguous = match entry.check {
        AsCheck::Succeeded => subject.inquired.any() && !shows_purchase(answer, subject),
        _ => subject.inquired.may_have_got(code),
    };
    if is_ambiguous && !is_proven_ours {
        return Err(Ignored::MayBeInquiry);
    }
    let has_record = is_proven_ours || shows_record_of(answer, subject.transaction);
    match entry.check {
        AsCheck::Succeeded if has_record || shows_purchase(answer, subject) => {
            Ok(Finding::Succeeded)
        }
        AsCheck::Succeeded => Err(Ignored::MayMeanTheCheck),
        AsCheck::Pending => Ok(Finding::Pending),
        AsCheck::Failed if has_record => Ok(Finding::Failed(entry.reason())),
        AsCheck::BillRefused if has_record && is_own_hit => Ok(Finding::Failed(entry.reason())),
        // Without the record, each of these may be the answer for a reference code that OKEBAYAR
        // cannot find. Repeated checks do not settle it: the schedule ends in NEEDS_REVIEW, unless
        // the configuration lists the code as "never received".
        AsCheck::Failed | AsCheck::BillRefused | AsCheck::BillPaid => Err(Ignored::MayMeanNotFound),
        AsCheck::Doubtful if has_record => Ok(Finding::Doubtful(entry.reason())),
        AsCheck::Doubtful | AsCheck::AboutCheck | AsCheck::Inconclusive => {
            Err(Ignored::AboutTheCheck)
        }
    }
}

/// Derives the finding of an answer whose code the configuration lists as "never received".
fn not_received(
    answer: &Answer,
    subject: Subject<'_>,
    code: StatusCode,
    source: Source,
) -> Result<Finding, Ignored> {
    if shows_record(answer) || names_own_trace(answer, subject) {
        Err(Ignored::ContradictsItself)
    } else if subject.inquired.is_known_to_get(code) {
        // An inquiry that the store may have lost does not count here: otherwise the code would
        // never be believed about a quarantined attempt.
        Err(Ignored::MayBeInquiry)
    } else if source == Source::Check {
        Ok(Finding::NotReceived)
    } else {
        Err(Ignored::MayMeanNotFound)
    }
}
