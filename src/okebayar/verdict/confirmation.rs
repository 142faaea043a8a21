//! What an answer proves that is not the POST's own.

use super::{
    ignored::Ignored,
    meaning::{Meaning, is_about_the_check, meaning_of},
};
use crate::{
    okebayar::{
        answer::Answer,
        code_lists::CodeLists,
        mismatch::Mismatch,
        subject::{
            Subject, mismatch, names_own_trace, shows_purchase, shows_record, shows_record_of,
        },
    },
    transaction::{FailureReason, Finding, Source, StatusCode},
};

/// Returns what an answer that is not the POST's own proves.
pub(super) fn confirmation(
    answer: &Answer,
    asked: Subject<'_>,
    lists: &CodeLists,
    source: Source,
) -> Result<Finding, Ignored> {
    if answer.names_another_member {
        return Err(Ignored::AboutAnotherMember);
    }
    if answer.is_inquiry {
        return Err(Ignored::AboutInquiry);
    }
    match mismatch(answer, asked.transaction, lists) {
        None if answer.reference_code.is_some() => {}
        None | Some(Mismatch::Transaction) => return Err(Ignored::AboutAnother),
        Some(differs) => return Err(Ignored::Differs(differs)),
    }
    let code = answer.status_code().ok_or(Ignored::NoStatus)?;
    if lists.not_received.contains(&code) {
        return not_received(answer, asked, code, source);
    }
    if is_about_the_check(code) {
        return Err(Ignored::AboutTheCheck);
    }
    let meaning = meaning_of(code, lists);
    let is_own_hit = names_own_trace(answer, asked);
    // Of a check, the trace code may be an echo. A callback was told nothing.
    let is_told = is_own_hit && source == Source::Callback;
    let is_ambiguous = match meaning {
        Meaning::Success => asked.inquired.any() && !shows_purchase(answer, asked),
        _ => asked.inquired.may_have_got(code),
    };
    if is_ambiguous && !is_told {
        return Err(Ignored::MayBeInquiry);
    }
    let has_record = is_told || shows_record_of(answer, asked.transaction);
    match meaning {
        Meaning::Success if has_record || shows_purchase(answer, asked) => Ok(Finding::Succeeded),
        Meaning::Success => Err(Ignored::MayMeanTheCheck),
        Meaning::Pending => Ok(Finding::Pending),
        // Any of these may be what OKEBAYAR answers for a reference code that it cannot find.
        Meaning::Failure(why) if has_record => Ok(Finding::Failed(why)),
        // 400 to 405 may say so of a record as well: of the bill, not of the purchase. Only
        // the POST's own trace code ties them to it.
        // 401 does not even then: it may be this very payment that paid the bill.
        Meaning::Refused(why) if has_record && is_own_hit && why != FailureReason::AlreadyPaid => {
            Ok(Finding::Failed(why))
        }
        // A check that is answered so never settles by itself, however often it is made: the
        // schedule ends in NEEDS_REVIEW, unless the configuration lists the code as "never
        // received".
        Meaning::Failure(_) | Meaning::Refused(_) => Err(Ignored::MayMeanNotFound),
        // A sick OKEBAYAR answers so to the check as well: only an answer that shows
        // its record of this very purchase counts.
        Meaning::Doubtful(why) if has_record => Ok(Finding::Doubtful(why)),
        Meaning::Doubtful(_) | Meaning::Inconclusive => Err(Ignored::AboutTheCheck),
    }
}

/// Returns what an answer proves whose code the configuration lists as "never received".
fn not_received(
    answer: &Answer,
    asked: Subject<'_>,
    code: StatusCode,
    source: Source,
) -> Result<Finding, Ignored> {
    if shows_record(answer) || names_own_trace(answer, asked) {
        Err(Ignored::ContradictsItself)
    } else if asked.inquired.is_known_to_get(code) {
        // An inquiry that the store may have forgotten does not count here: the code
        // would else never be believed of what is held back.
        Err(Ignored::MayBeInquiry)
    } else if source == Source::Check {
        Ok(Finding::NotReceived)
    } else {
        Err(Ignored::MayMeanNotFound)
    }
}
