//! The meaning of a status code.

use crate::{
    okebayar::code_lists::CodeLists,
    transaction::{FailureReason, StatusCode},
};

/// What one code says about a purchase, whoever reports it.
pub(super) enum Meaning {
    Success,
    Pending,
    Failure(FailureReason),
    Doubtful(FailureReason),
    /// About a bill or an inquiry; from a check, it may mean "not found".
    Refused(FailureReason),
    /// About the request or the check, not the purchase.
    Inconclusive,
}

pub(super) fn meaning_of(code: StatusCode, lists: &CodeLists) -> Meaning {
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

/// Returns true for codes that a check gets about itself: its form, credentials, address or age.
pub(super) fn is_about_the_check(code: StatusCode) -> bool {
    matches!(code.number(), 206 | 207 | 211..=214)
}
