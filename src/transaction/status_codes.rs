//! The table of OKEBAYAR's status codes (docs/OKEBAYAR.md, section 5): one row for each documented
//! code, with everything that the gateway knows of it. To add a code, add a row.
//!
//! `okebayar::verdict` interprets the columns; `config` reads which codes a deployment may list.

use super::{code_types::StatusCode, finding::FailureReason};
use AsNotReceived::{Listable, Rejected};
use AsQuestion::{Answered, Refused};
use FailureReason as Why;
use Refusal::{
    Aborted, GatewayCredentials, Internal, NotFound, Precondition, Unavailable, WrongData,
};

/// The meaning of a code in the answer to a purchase or payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsPurchase {
    /// The purchase succeeded.
    Succeeded,
    /// The outcome is pending.
    Pending,
    /// The purchase failed.
    Failed,
    /// OKEBAYAR refused the gateway's credentials and processed nothing. This is a failure even in
    /// an answer without reference code and trace code: OKEBAYAR may not have read further.
    CredentialsRefused,
    /// The purchase may have failed.
    Doubtful,
    /// The code is about the request and proves nothing about the purchase.
    Inconclusive,
}

/// The meaning of a code in the answer to a status check, or in a trusted callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsCheck {
    /// The purchase succeeded, if the answer shows the record, a serial number or a price.
    Succeeded,
    /// The outcome is pending.
    Pending,
    /// The purchase failed, if the answer shows OKEBAYAR's record. Without it, the code may mean
    /// that the transaction was not found.
    Failed,
    /// The bill was refused. The purchase failed only if the answer shows the record and the
    /// trace code of the POST's own answer: the code may be about the bill instead.
    BillRefused,
    /// The bill is paid, perhaps by this payment, so the code never proves a failure.
    BillPaid,
    /// The purchase may have failed, if the answer shows the record. OKEBAYAR may return this code
    /// during an outage, whatever the check asks.
    Doubtful,
    /// The code is about the check itself: its form, credentials, address or age.
    AboutCheck,
    /// The code proves nothing about the purchase.
    Inconclusive,
}

/// The meaning of a code in the answer to a question that moves no money: an inquiry, a balance
/// or an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsQuestion {
    /// The question is answered.
    Answered,
    /// The question is refused.
    Refused(Refusal),
}

/// The reason why a question is refused, by what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The object does not exist.
    NotFound,
    /// The caller's data are wrong.
    WrongData,
    /// Something else must be corrected first.
    Precondition,
    /// OKEBAYAR rejects the gateway's credentials, signature or address.
    GatewayCredentials,
    /// OKEBAYAR is unavailable, or has no answer yet.
    Unavailable,
    /// Retry under another reference code: this one was used. Such a code shows that OKEBAYAR received
    /// the reference code ([`StatusCodeEntry::saw_reference`]).
    Aborted,
    /// Anything else.
    Internal,
}

/// The right of a deployment to list a code in `not_received_codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsNotReceived {
    /// The code may be what this OKEBAYAR answers for a reference code that it never received.
    Listable,
    /// The code means something else: an open or successful purchase, an outage of OKEBAYAR, the
    /// check itself, a repeated request, or a paid bill, which this transaction may have paid.
    Rejected,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCodeEntry {
    /// The meaning in English, for readers only.
    pub meaning: &'static str,
    /// The meaning in the answer to a purchase or payment.
    pub purchase: AsPurchase,
    /// The meaning in the answer to a status check.
    pub check: AsCheck,
    /// The meaning in the answer to a question.
    pub question: AsQuestion,
    /// The reason of a failure or doubt; `None` for codes that mean neither.
    reason: Option<FailureReason>,
    /// The right to list the code as never received.
    pub not_received: AsNotReceived,
}

/// Builds a row of the table.
const fn row(
    code: u16,
    meaning: &'static str,
    purchase: AsPurchase,
    check: AsCheck,
    question: AsQuestion,
    reason: Option<FailureReason>,
    not_received: AsNotReceived,
) -> (u16, StatusCodeEntry) {
    let entry = StatusCodeEntry {
        meaning,
        purchase,
        check,
        question,
        reason,
        not_received,
    };
    (code, entry)
}

/// The documented codes in ascending order.
#[rustfmt::skip]
const DOCUMENTED: [(u16, StatusCodeEntry); 37] = [
    row(  0, "success", AsPurchase::Succeeded, AsCheck::Succeeded, Answered, None, Rejected),
    row(  1, "success, serial number not available yet or none", AsPurchase::Succeeded, AsCheck::Succeeded, Answered, None, Rejected),
    row(  2, "pending: accepted, being processed", AsPurchase::Pending, AsCheck::Pending, Refused(Unavailable), None, Rejected),
    row(  3, "first attempt failed, re-queued automatically", AsPurchase::Pending, AsCheck::Pending, Refused(Unavailable), None, Rejected),
    row(200, "product unavailable or out of stock", AsPurchase::Failed, AsCheck::Failed, Refused(Precondition), Some(Why::ProductUnavailable), Listable),
    row(201, "biller or operator trouble", AsPurchase::Doubtful, AsCheck::Doubtful, Refused(Unavailable), Some(Why::BillerTrouble), Rejected),
    row(202, "server trouble", AsPurchase::Doubtful, AsCheck::Doubtful, Refused(Unavailable), Some(Why::ServerTrouble), Rejected),
    row(203, "deposit exhausted", AsPurchase::Failed, AsCheck::Failed, Refused(Precondition), Some(Why::DepositExhausted), Listable),
    row(204, "wrong account or destination number", AsPurchase::Failed, AsCheck::Failed, Refused(WrongData), Some(Why::WrongAccountNumber), Listable),
    row(205, "wrong product code", AsPurchase::Failed, AsCheck::Failed, Refused(WrongData), Some(Why::WrongProductCode), Listable),
    row(206, "bad format", AsPurchase::Failed, AsCheck::AboutCheck, Refused(WrongData), Some(Why::BadFormat), Rejected),
    row(207, "authentication: user id, PIN or signature wrong", AsPurchase::CredentialsRefused, AsCheck::AboutCheck, Refused(GatewayCredentials), Some(Why::GatewayCredentials), Rejected),
    row(208, "duplicate: proves nothing about the outcome of the first request", AsPurchase::Inconclusive, AsCheck::Inconclusive, Refused(Aborted), None, Rejected),
    row(210, "cross region or cluster refused", AsPurchase::Failed, AsCheck::Failed, Refused(Precondition), Some(Why::CrossRegion), Listable),
    row(211, "invalid signature", AsPurchase::CredentialsRefused, AsCheck::AboutCheck, Refused(GatewayCredentials), Some(Why::GatewayCredentials), Rejected),
    row(212, "IP address not registered", AsPurchase::CredentialsRefused, AsCheck::AboutCheck, Refused(GatewayCredentials), Some(Why::GatewayCredentials), Rejected),
    row(213, "user id invalid", AsPurchase::CredentialsRefused, AsCheck::AboutCheck, Refused(GatewayCredentials), Some(Why::GatewayCredentials), Rejected),
    row(214, "request expired", AsPurchase::Failed, AsCheck::AboutCheck, Refused(Internal), Some(Why::RequestExpired), Rejected),
    row(215, "account cannot receive this transaction", AsPurchase::Failed, AsCheck::Failed, Refused(Precondition), Some(Why::AccountCannotReceive), Listable),
    row(216, "inquired date invalid", AsPurchase::Inconclusive, AsCheck::Inconclusive, Refused(WrongData), None, Listable),
    row(217, "ordered or departure date invalid", AsPurchase::Inconclusive, AsCheck::Inconclusive, Refused(WrongData), None, Listable),
    row(232, "product code and account do not match", AsPurchase::Failed, AsCheck::Failed, Refused(WrongData), Some(Why::ProductAccountMismatch), Listable),
    row(233, "account exceeds the maximum number of bills", AsPurchase::Failed, AsCheck::Failed, Refused(Precondition), Some(Why::TooManyBills), Listable),
    row(234, "transaction cancelled", AsPurchase::Failed, AsCheck::Failed, Refused(Internal), Some(Why::Cancelled), Listable),
    row(240, "unidentified error", AsPurchase::Doubtful, AsCheck::Doubtful, Refused(Unavailable), Some(Why::Unidentified), Rejected),
    row(241, "transaction code unknown", AsPurchase::Inconclusive, AsCheck::Inconclusive, Refused(Internal), None, Rejected),
    row(260, "refund failed", AsPurchase::Inconclusive, AsCheck::Inconclusive, Refused(Internal), None, Listable),
    row(261, "invalid PIN", AsPurchase::Inconclusive, AsCheck::Inconclusive, Refused(Internal), None, Listable),
    row(270, "wrong product code in a product status check", AsPurchase::Inconclusive, AsCheck::Inconclusive, Refused(Internal), None, Listable),
    row(400, "bill not found or not yet available", AsPurchase::Failed, AsCheck::BillRefused, Refused(NotFound), Some(Why::BillRefused), Listable),
    row(401, "inquiry already paid or invalid", AsPurchase::Failed, AsCheck::BillPaid, Refused(Precondition), Some(Why::AlreadyPaid), Rejected),
    row(402, "payment data differ from the inquiry's", AsPurchase::Failed, AsCheck::BillRefused, Refused(Internal), Some(Why::BillRefused), Listable),
    row(403, "inquiry expired", AsPurchase::Failed, AsCheck::BillRefused, Refused(Precondition), Some(Why::BillRefused), Listable),
    row(404, "wrong customer data or meter number, or too many bills", AsPurchase::Failed, AsCheck::BillRefused, Refused(WrongData), Some(Why::BillRefused), Listable),
    row(405, "no inquiry was made before", AsPurchase::Failed, AsCheck::BillRefused, Refused(Precondition), Some(Why::BillRefused), Listable),
    row(500, "account number blacklisted", AsPurchase::Failed, AsCheck::Failed, Refused(Precondition), Some(Why::AccountBlacklisted), Listable),
    row(510, "invalid re-hit request", AsPurchase::Inconclusive, AsCheck::Inconclusive, Refused(Aborted), None, Rejected),
];

/// The undocumented codes that begin with 0 or 1: not final.
const UNDOCUMENTED_OPEN: StatusCodeEntry = StatusCodeEntry {
    meaning: "undocumented, not final",
    purchase: AsPurchase::Pending,
    check: AsCheck::Pending,
    question: Refused(Unavailable),
    reason: None,
    not_received: Rejected,
};

/// The undocumented codes from 200 on: final.
const UNDOCUMENTED_FINAL: StatusCodeEntry = StatusCodeEntry {
    meaning: "undocumented, final",
    purchase: AsPurchase::Doubtful,
    check: AsCheck::Doubtful,
    question: Refused(Internal),
    reason: Some(Why::Unidentified),
    not_received: Listable,
};

/// Undocumented codes from here on are final.
const FINAL_FROM: u16 = 200;

impl StatusCodeEntry {
    /// The undocumented codes that a deployment lists in `failed_codes`.
    pub const LISTED_AS_FAILED: Self = Self {
        meaning: "undocumented, listed as a failure",
        purchase: AsPurchase::Failed,
        check: AsCheck::Failed,
        ..UNDOCUMENTED_FINAL
    };

    /// Returns the reason of a failure or doubt. The table is verified when it is compiled: no row
    /// that means either lacks one.
    #[must_use]
    pub fn reason(&self) -> FailureReason {
        self.reason.unwrap_or(FailureReason::Unidentified)
    }

    /// Returns the reason of a failure or doubt; `None` for codes that mean neither.
    #[must_use]
    pub fn documented_reason(&self) -> Option<FailureReason> {
        self.reason
    }

    /// Returns true for a purchase whose outcome is pending.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.purchase == AsPurchase::Pending
    }

    /// Returns true when the code alone shows that OKEBAYAR received the reference code before: it is
    /// refused because it was used (208, 510).
    #[must_use]
    pub fn saw_reference(&self) -> bool {
        self.question == AsQuestion::Refused(Refusal::Aborted)
    }

    const fn needs_reason(&self) -> bool {
        let by_purchase = matches!(
            self.purchase,
            AsPurchase::Failed | AsPurchase::CredentialsRefused | AsPurchase::Doubtful
        );
        let by_check = matches!(
            self.check,
            AsCheck::Failed | AsCheck::BillRefused | AsCheck::Doubtful
        );
        by_purchase || by_check
    }
}

/// The reason for which OKEBAYAR refuses a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillRefusal {
    /// The bill was not found, or is not available yet (400).
    NotFound,
    /// The payment differs from the inquiry (402).
    Mismatch,
    /// The inquiry has expired (403).
    Expired,
    /// The customer's data are wrong, or there are too many bills (404).
    WrongCustomerData,
    /// No inquiry was made before (405).
    InquiryMissing,
}

/// Verifies the table: ascending codes, each once, with a reason exactly where one is needed.
const _: () = {
    let mut at = 0;
    while at < DOCUMENTED.len() {
        let (code, entry) = &DOCUMENTED[at];
        assert!(at == 0 || DOCUMENTED[at - 1].0 < *code);
        assert!(entry.needs_reason() == entry.reason.is_some());
        at += 1;
    }
};

impl StatusCode {
    /// Returns the reason for which OKEBAYAR refuses a bill; `None` for other codes. Records store
    /// these codes as one reason.
    #[must_use]
    pub fn bill_refusal(self) -> Option<BillRefusal> {
        Some(match self.number() {
            400 => BillRefusal::NotFound,
            402 => BillRefusal::Mismatch,
            403 => BillRefusal::Expired,
            404 => BillRefusal::WrongCustomerData,
            405 => BillRefusal::InquiryMissing,
            _ => return None,
        })
    }

    /// Returns the row of the code: its own, or that of all undocumented codes of its kind.
    #[must_use]
    pub fn entry(self) -> &'static StatusCodeEntry {
        let undocumented = if self.number() < FINAL_FROM {
            &UNDOCUMENTED_OPEN
        } else {
            &UNDOCUMENTED_FINAL
        };
        self.documented_entry().unwrap_or(undocumented)
    }

    /// Returns the meaning in English: the documented one, or that of undocumented codes.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.entry().meaning
    }

    /// Returns the documented meaning; `None` for an undocumented code.
    #[must_use]
    pub fn documented(self) -> Option<&'static str> {
        self.documented_entry().map(|entry| entry.meaning)
    }

    fn documented_entry(self) -> Option<&'static StatusCodeEntry> {
        let code = self.number();
        let row = DOCUMENTED.binary_search_by_key(&code, |(code, _)| *code);
        row.ok().map(|at| &DOCUMENTED[at].1)
    }
}
