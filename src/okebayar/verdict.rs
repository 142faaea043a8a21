//! What an answer proves: the only place where status codes become findings
//! (API page, sections 3.1, 3.2 and 5; promises 4 and 16).

use std::collections::BTreeSet;

use super::{
    answer::Answer,
    subject::{
        self, AccountNumberForms, Mismatch, mismatch, names_own_trace, other_reference,
        shows_purchase, shows_record, shows_record_of,
    },
};
use crate::transaction::{
    Details, FailureReason, Finding, InquiriesMade, Source, Statement, StatusCode, Transaction,
    UnknownCause,
};

/// What a deployment knows of its OKEBAYAR and the documentation does not: the meaning of codes,
/// and the forms of account numbers.
#[derive(Clone, Debug, Default)]
pub struct CodeLists {
    /// In a check: OKEBAYAR never received the reference code.
    pub not_received: BTreeSet<StatusCode>,
    /// Undocumented final codes that prove a failure at once.
    pub failed: BTreeSet<StatusCode>,
    /// The forms in which answers may name an account number.
    pub account_numbers: AccountNumberForms,
}

/// The reason why a check's answer settles nothing (promise 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It names another reference or inquiry, several other things, or no reference.
    #[error("it is not about this transaction")]
    AboutAnother,
    /// It names our reference code, and one thing that is not ours.
    #[error("it names another {}", .0.field())]
    Differs(Mismatch),
    /// It names another member: nothing in it is about us.
    #[error("it names another member")]
    AboutAnotherMember,
    /// It carries `inquiryexpired`.
    #[error("it is about an inquiry")]
    AboutInquiry,
    /// It is about the check, as 207 is.
    #[error("it is about the check itself")]
    AboutTheCheck,
    /// It may mean that the reference is not known, which settles nothing.
    #[error("it may mean that the transaction was not found")]
    MayMeanNotFound,
    /// It says success and shows nothing of the purchase: the check itself may have succeeded.
    #[error("it says success and shows nothing of the purchase")]
    MayMeanTheCheck,
    /// Its status is not three digits.
    #[error("its status is no status code")]
    NoStatus,
    /// The reference code was used for an inquiry too, which may be what it found.
    #[error("it may be about an inquiry under the same reference code")]
    MayBeInquiry,
    /// It says "never received" and shows a record.
    #[error("it says that the reference code was never received, and shows a record of it")]
    ContradictsItself,
}

/// What a transaction is known by, for reading what is said about it elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The transaction.
    pub transaction: &'a Transaction,
    /// The inquiries made under its reference code.
    pub inquired: &'a InquiriesMade,
}

/// What one code says about a purchase, whoever reports it.
enum Meaning {
    Success,
    Pending,
    Failure(FailureReason),
    Doubtful(FailureReason),
    /// About a bill or an inquiry; from a check, it may mean "not found".
    Refused(FailureReason),
    /// About the request or the check, not the purchase.
    Inconclusive,
}

fn meaning_of(code: StatusCode, lists: &CodeLists) -> Meaning {
    use FailureReason as Why;
    match code.number() {
        0 | 1 => Meaning::Success,
        2..=199 => Meaning::Pending,
        200 => Meaning::Failure(Why::ProductUnavailable),
        201 => Meaning::Doubtful(Why::BillerTrouble),
        202 => Meaning::Doubtful(Why::ServerTrouble),
        203 => Meaning::Failure(Why::DepositExhausted),
        204 => Meaning::Failure(Why::WrongAccountNumber),
        205 => Meaning::Failure(Why::WrongProductCode),
        206 => Meaning::Failure(Why::BadFormat),
        207 | 211..=213 => Meaning::Failure(Why::GatewayCredentials),
        210 => Meaning::Failure(Why::CrossRegion),
        214 => Meaning::Failure(Why::RequestExpired),
        215 => Meaning::Failure(Why::AccountCannotReceive),
        232 => Meaning::Failure(Why::ProductAccountMismatch),
        233 => Meaning::Failure(Why::TooManyBills),
        234 => Meaning::Failure(Why::Cancelled),
        401 => Meaning::Refused(Why::AlreadyPaid),
        400 | 402..=405 => Meaning::Refused(Why::BillRefused),
        500 => Meaning::Failure(Why::AccountBlacklisted),
        208 | 216 | 217 | 241 | 260 | 261 | 270 | 510 => Meaning::Inconclusive,
        _ if lists.failed.contains(&code) => Meaning::Failure(Why::Unidentified),
        _ => Meaning::Doubtful(Why::Unidentified),
    }
}

/// Why an inquiry, a balance or an echo was refused, by what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such thing.
    NotFound,
    /// The caller's data are wrong.
    WrongData,
    /// Something else must be put right first.
    Precondition,
    /// OKEBAYAR refuses the gateway's credentials, signature or address.
    GatewayCredentials,
    /// OKEBAYAR is unwell, or has no answer yet.
    Unavailable,
    /// The request must be made anew.
    Aborted,
    /// Anything else.
    Internal,
}

/// Whether an answer to a question that moves no money is one (design section 3).
///
/// # Errors
/// [`Refusal`] for every code but 000 and 001.
pub fn of_query(code: StatusCode) -> Result<(), Refusal> {
    match code.number() {
        0 | 1 => Ok(()),
        400 => Err(Refusal::NotFound),
        204..=206 | 216 | 217 | 232 | 404 => Err(Refusal::WrongData),
        200 | 203 | 210 | 215 | 233 | 401 | 403 | 405 | 500 => Err(Refusal::Precondition),
        207 | 211..=213 => Err(Refusal::GatewayCredentials),
        2..=199 | 201 | 202 | 240 => Err(Refusal::Unavailable),
        208 | 510 => Err(Refusal::Aborted),
        _ => Err(Refusal::Internal),
    }
}

/// The class of a code, for a label: few, and each of one meaning.
#[must_use]
pub fn class(code: StatusCode) -> &'static str {
    match code.number() {
        0 | 1 => "success",
        2..=199 => "pending",
        200..=299 => "2xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}

/// What the purchase's own answer proves.
///
/// A success or a failure counts only if the answer carries our reference code or a trace code:
/// a bare status may be that of a gateway or proxy in between, which answers 200, 401, 404 or
/// 500 in its own sense. Only a refusal of our credentials may lack both, because OKEBAYAR may
/// not read further; nothing was processed then.
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
    // Before anything else: another member's trace code must not become ours.
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
        Some(differs) => return unbelieved(Source::Answer, answer, differs),
    }
    let Some(code) = answer.status_code() else {
        return unknown(UnknownCause::Unreadable);
    };
    let is_signed = answer.reference_code.is_some() || answer.details.trace_code.is_some();
    let finding = match meaning_of(code, lists) {
        Meaning::Failure(why @ FailureReason::GatewayCredentials) => Finding::Failed(why),
        Meaning::Success | Meaning::Failure(_) | Meaning::Refused(_) if !is_signed => {
            return unknown(UnknownCause::Inconclusive);
        }
        Meaning::Success => Finding::Succeeded,
        Meaning::Pending => Finding::Pending,
        Meaning::Failure(why) | Meaning::Refused(why) => Finding::Failed(why),
        Meaning::Doubtful(why) => Finding::Doubtful(why),
        Meaning::Inconclusive => return unknown(UnknownCause::Inconclusive),
    };
    Statement::new(Source::Answer, finding, Some(code), answer.details.clone())
}

/// Returns the difference for which alone an answer to the order proves nothing; `None` when
/// there is none, or another reason.
#[must_use]
pub fn difference(answer: &Answer, asked: &Transaction, lists: &CodeLists) -> Option<Mismatch> {
    let is_ours = !answer.names_another_member && !answer.is_inquiry;
    let found = is_ours.then(|| mismatch(answer, asked, lists)).flatten();
    found.filter(|differs| *differs != Mismatch::Transaction)
}

/// Builds what is kept of an answer that names our reference code and one thing that is not
/// ours. Nothing in it is believed: its trace code must not become ours, so it is only a text,
/// and its serial number may be somebody else's, so it is not kept.
fn unbelieved(source: Source, answer: &Answer, differs: Mismatch) -> Statement {
    let trace_code = answer.details.trace_code.as_ref();
    // Each check has a trace code of its own: kept, every check would be an entry of its own.
    let trace_code = trace_code.filter(|_| source == Source::Answer);
    let texts = [
        (differs.field(), differs.named(answer)),
        ("tracecode", trace_code.map(ToString::to_string)),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?)));
    Statement {
        code: answer.status_code(),
        details: Details {
            price: answer.details.price,
            extra: texts.collect(),
            ..Details::default()
        },
        ..Statement::bare(source, Finding::Unknown(UnknownCause::AboutAnother))
    }
}

/// Returns the last four characters of an account number behind asterisks.
#[must_use]
pub fn masked(account_number: &str) -> String {
    let count = account_number.chars().count();
    let shown = if count > 4 { count - 4 } else { count };
    let shown: String = account_number.chars().skip(shown).collect();
    format!("****{shown}")
}

/// What a status check's answer proves about the transaction asked about.
///
/// # Errors
/// [`Ignored`] when it proves nothing: the transaction must not change.
pub fn of_check(
    answer: &Answer,
    asked: Asked<'_>,
    lists: &CodeLists,
) -> Result<Statement, Ignored> {
    let finding = settled_elsewhere(answer, asked, lists, Source::Check)?;
    Ok(Statement::new(
        Source::Check,
        finding,
        answer.status_code(),
        subject::details(answer, asked),
    ))
}

/// Returns what a check's answer that changes nothing shows all the same: that OKEBAYAR
/// received the reference code, which settles nothing and contradicts "never received" whenever
/// that is said; or what is kept, and not believed, of an answer that names another account
/// number or product.
#[must_use]
pub fn of_ignored_check(answer: &Answer, lists: &CodeLists, ignored: Ignored) -> Option<Statement> {
    let code = answer.status_code();
    let shows = match ignored {
        Ignored::Differs(differs) => return Some(unbelieved(Source::Check, answer, differs)),
        Ignored::AboutAnother | Ignored::AboutAnotherMember | Ignored::AboutInquiry => false,
        // Purchase, inquiry or the check itself: the reference code may be known there.
        Ignored::MayBeInquiry | Ignored::MayMeanTheCheck
            if code.is_some_and(|code| is_receipt(code, lists)) =>
        {
            true
        }
        // The trace code of the POST may be an echo, and the POST's own answer showed it.
        _ => shows_record(answer),
    };
    let finding = Finding::Unknown(UnknownCause::Inconclusive);
    shows.then(|| Statement::new(Source::Check, finding, code, answer.details.clone()))
}

/// Returns true for the codes of something that was received. A failure is left out: any of
/// them may be what OKEBAYAR answers for a reference code that it does not have.
fn is_receipt(code: StatusCode, lists: &CodeLists) -> bool {
    let is_not_received = lists.not_received.contains(&code);
    !is_not_received && matches!(meaning_of(code, lists), Meaning::Success | Meaning::Pending)
}

/// Returns true when a check's answer that changes nothing shows no sign of the transaction: it
/// may mean that OKEBAYAR does not know the reference code. 401 does not: it may be ours that
/// paid the bill.
#[must_use]
pub fn shows_no_sign(answer: &Answer, lists: &CodeLists, ignored: Ignored) -> bool {
    matches!(ignored, Ignored::MayMeanNotFound | Ignored::MayBeInquiry)
        && !shows_record(answer)
        && answer
            .status_code()
            .is_some_and(|code| may_be_unknown(code, lists))
}

/// Returns true for the codes of a check that may mean that OKEBAYAR does not know the
/// reference code: any failure, unless it is about the check itself.
#[must_use]
pub fn may_be_unknown(code: StatusCode, lists: &CodeLists) -> bool {
    let is_failure = matches!(
        meaning_of(code, lists),
        Meaning::Failure(_) | Meaning::Refused(_)
    );
    let is_ours = code.number() == 401 || is_about_the_check(code);
    lists.not_received.contains(&code) || is_failure && !is_ours
}

/// Returns true for codes that a check gets about itself: its form, credentials, address or age.
fn is_about_the_check(code: StatusCode) -> bool {
    matches!(code.number(), 206 | 207 | 211..=214)
}

/// The status of a reference code of which nothing else is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The status code.
    pub code: StatusCode,
    /// The answer shows a record under the reference code, whatever the status.
    pub shows_record: bool,
}

/// Returns the status that a check's answer gives of a reference code of which nothing
/// else is known.
///
/// # Errors
/// [`Ignored`] when the answer is about something else.
pub fn of_unknown(answer: &Answer, reference_code: &str) -> Result<Heard, Ignored> {
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
        Some(code) if is_about_the_check(code) => Err(Ignored::AboutTheCheck),
        Some(code) => Ok(Heard {
            code,
            shows_record: shows_record(answer),
        }),
        None => Err(Ignored::NoStatus),
    }
}

/// What a callback proves where the configuration trusts callbacks: what a
/// check's answer would prove, except that "never received" is not for callbacks.
///
/// # Errors
/// [`Ignored`] when it proves nothing.
pub fn of_trusted_callback(
    report: &Answer,
    about: Asked<'_>,
    lists: &CodeLists,
) -> Result<Statement, Ignored> {
    let finding = settled_elsewhere(report, about, lists, Source::Callback)?;
    Ok(Statement::new(
        Source::Callback,
        finding,
        report.status_code(),
        subject::details(report, about),
    ))
}

/// What an unconfirmed callback says: a hint, never a proof (promise 7).
#[must_use]
pub fn of_callback(report: &Answer) -> Statement {
    Statement::new(
        Source::Callback,
        Finding::Reported,
        report.status_code(),
        report.details.clone(),
    )
}

/// True when a callback with this code only repeats a settled state.
#[must_use]
pub fn agrees(code: StatusCode, with: &crate::transaction::State, lists: &CodeLists) -> bool {
    use crate::transaction::State;
    match with {
        State::Succeeded { .. } => {
            matches!(meaning_of(code, lists), Meaning::Success | Meaning::Pending)
        }
        State::Failed(_) => !matches!(meaning_of(code, lists), Meaning::Success),
        _ => false,
    }
}

/// Returns what an answer that is not the POST's own proves.
fn settled_elsewhere(
    answer: &Answer,
    asked: Asked<'_>,
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
    asked: Asked<'_>,
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
