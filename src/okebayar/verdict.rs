//! What an answer proves: the only place where status codes become findings
//! (API page, sections 3.1, 3.2 and 5; promises 4 and 16).

use std::collections::BTreeSet;

use super::{answer::Answer, inquiry};
use crate::transaction::{
    Amount, FailureReason, Finding, InquiriesMade, InquiryCode, Source, Statement, StatusCode,
    TraceCode, Transaction, Unknown,
};

/// Codes whose meaning a deployment knows and the documentation does not.
#[derive(Clone, Debug, Default)]
pub struct CodeLists {
    /// In a check: OKEBAYAR never received the reference code.
    pub not_received: BTreeSet<StatusCode>,
    /// Undocumented final codes that prove a failure at once.
    pub failed: BTreeSet<StatusCode>,
}

/// Why a check's answer changes nothing (promise 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It names another reference, product or account, or no reference.
    #[error("it is not about this transaction")]
    AboutAnother,
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
        return Statement::bare(Source::Answer, Finding::Unknown(Unknown::AboutAnother));
    }
    if answer.is_inquiry {
        return unknown(Unknown::AboutInquiry);
    }
    if names_another(answer, asked) {
        return Statement::bare(Source::Answer, Finding::Unknown(Unknown::AboutAnother));
    }
    let Some(code) = answer.status_code() else {
        return unknown(Unknown::Unreadable);
    };
    let finding = match meaning_of(code, lists) {
        Meaning::Success => Finding::Succeeded,
        Meaning::Pending => Finding::Pending,
        Meaning::Failure(why) | Meaning::Refused(why) => Finding::Failed(why),
        Meaning::Doubtful(why) => Finding::Doubtful(why),
        Meaning::Inconclusive => return unknown(Unknown::Inconclusive),
    };
    Statement::new(Source::Answer, finding, Some(code), answer.details.clone())
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
    let finding = settled_elsewhere(answer, asked, lists, true)?;
    Ok(Statement::new(
        Source::Check,
        finding,
        answer.status_code(),
        answer.details.clone(),
    ))
}

/// Returns what a check's answer that changes nothing shows all the same: that OKEBAYAR
/// received the reference code. That settles nothing, and contradicts "never received" whenever
/// that is said.
#[must_use]
pub fn of_ignored_check(
    answer: &Answer,
    asked: Asked<'_>,
    lists: &CodeLists,
    ignored: Ignored,
) -> Option<Statement> {
    let code = answer.status_code();
    let shows = match ignored {
        Ignored::AboutAnother | Ignored::AboutAnotherMember | Ignored::AboutInquiry => false,
        // Purchase or inquiry: either way the reference code is known there.
        Ignored::MayBeInquiry if code.is_some_and(|code| is_outcome(code, lists)) => true,
        _ => shows_record(answer) || names_own_trace(answer, asked.transaction),
    };
    let finding = Finding::Unknown(Unknown::Inconclusive);
    shows.then(|| Statement::new(Source::Check, finding, code, answer.details.clone()))
}

/// Returns true for the codes of something that was received, whatever became of it.
fn is_outcome(code: StatusCode, lists: &CodeLists) -> bool {
    let is_not_received = lists.not_received.contains(&code);
    !is_not_received
        && matches!(
            meaning_of(code, lists),
            Meaning::Success | Meaning::Pending | Meaning::Failure(_)
        )
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
/// reference code.
#[must_use]
pub fn may_be_unknown(code: StatusCode, lists: &CodeLists) -> bool {
    let is_refused = matches!(meaning_of(code, lists), Meaning::Refused(_));
    lists.not_received.contains(&code) || is_refused && code.number() != 401
}

/// Returns the status that a check's answer gives of a reference code of which nothing
/// else is known.
///
/// # Errors
/// [`Ignored`] when the answer is about something else.
pub fn of_unknown(answer: &Answer, reference_code: &str) -> Result<StatusCode, Ignored> {
    if answer.is_inquiry {
        return Err(Ignored::AboutInquiry);
    }
    if answer.names_another_member {
        return Err(Ignored::AboutAnotherMember);
    }
    let named = answer.reference_code.as_ref();
    if named.is_none() || other(named, reference_code) {
        return Err(Ignored::AboutAnother);
    }
    match answer.status_code() {
        Some(code) if matches!(code.number(), 206 | 207 | 211..=214) => Err(Ignored::AboutTheCheck),
        Some(code) => Ok(code),
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
    let finding = settled_elsewhere(report, about, lists, false)?;
    Ok(Statement::new(
        Source::Callback,
        finding,
        report.status_code(),
        report.details.clone(),
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

fn settled_elsewhere(
    answer: &Answer,
    asked: Asked<'_>,
    lists: &CodeLists,
    may_say_not_received: bool,
) -> Result<Finding, Ignored> {
    let about = asked.transaction;
    if answer.names_another_member {
        return Err(Ignored::AboutAnotherMember);
    }
    if answer.is_inquiry {
        return Err(Ignored::AboutInquiry);
    }
    if answer.reference_code.is_none() || names_another(answer, about) {
        return Err(Ignored::AboutAnother);
    }
    let code = answer.status_code().ok_or(Ignored::NoStatus)?;
    if lists.not_received.contains(&code) {
        return if shows_record(answer) || names_own_trace(answer, about) {
            Err(Ignored::ContradictsItself)
        } else if asked.inquired.is_known_to_get(code) {
            // An inquiry that the store may have forgotten does not count here: the code
            // would else never be believed of what is held back.
            Err(Ignored::MayBeInquiry)
        } else if may_say_not_received {
            Ok(Finding::NotReceived)
        } else {
            Err(Ignored::MayMeanNotFound)
        };
    }
    if matches!(code.number(), 206 | 207 | 211..=214) {
        return Err(Ignored::AboutTheCheck);
    }
    let meaning = meaning_of(code, lists);
    let is_ambiguous = match meaning {
        Meaning::Success => asked.inquired.any() && !shows_purchase(answer),
        _ => asked.inquired.may_have_got(code),
    };
    if is_ambiguous && !names_own_trace(answer, about) {
        return Err(Ignored::MayBeInquiry);
    }
    match meaning {
        Meaning::Success => Ok(Finding::Succeeded),
        Meaning::Pending => Ok(Finding::Pending),
        Meaning::Failure(why) => Ok(Finding::Failed(why)),
        // A sick OKEBAYAR answers so to the check as well: only an answer that shows
        // its record of this very purchase counts.
        Meaning::Doubtful(why) if shows_record(answer) => Ok(Finding::Doubtful(why)),
        Meaning::Doubtful(_) | Meaning::Inconclusive => Err(Ignored::AboutTheCheck),
        // 400 to 405: OKEBAYAR gives them for a reference that it cannot find as well. A
        // check that is answered so never settles by itself, however often it is made: the
        // schedule ends in NEEDS_REVIEW. What settles is the trace code of the POST's own
        // answer in it, or a code that the configuration lists as "never received".
        Meaning::Refused(why) if names_own_trace(answer, about) => Ok(Finding::Failed(why)),
        Meaning::Refused(_) => Err(Ignored::MayMeanNotFound),
    }
}

/// True when the answer names a product and an account, which a check does not
/// tell: they come from OKEBAYAR's record.
fn shows_record(answer: &Answer) -> bool {
    answer.product_code.is_some() && answer.account_number.is_some()
}

/// True when the answer holds what only a purchase has (API page, 3.2).
fn shows_purchase(answer: &Answer) -> bool {
    let details = &answer.details;
    details.serial_number.is_some() || details.price.is_some_and(|price| price > Amount::ZERO)
}

/// True when the answer carries the trace code of the POST's own answer.
fn names_own_trace(answer: &Answer, about: &Transaction) -> bool {
    let own: Option<TraceCode> = about.standing().trace_code;
    own.is_some() && answer.details.trace_code == own
}

/// True when the answer names a reference, product, account or inquiry other than
/// ours. What it leaves out names nothing.
fn names_another(answer: &Answer, about: &Transaction) -> bool {
    let order = about.order();
    let inquiry = about.contents().inquiry_code().map(InquiryCode::as_str);
    other(
        answer.reference_code.as_ref(),
        about.reference_code().as_str(),
    ) || other(answer.product_code.as_ref(), order.product_code.as_str())
        || other(
            answer.account_number.as_ref(),
            order.account_number.as_str(),
        )
        || inquiry::is_another_in(answer, order)
        || inquiry.is_some_and(|ours| other(answer.inquiry_code.as_ref(), ours))
}

/// True when something is named, and it is not ours.
pub(super) fn other(named: Option<&String>, ours: &str) -> bool {
    named.is_some_and(|named| !named.eq_ignore_ascii_case(ours))
}
