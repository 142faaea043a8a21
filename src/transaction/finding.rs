//! Findings: the content of one observation, with its source and its reason.

use serde::{Deserialize, Serialize};

/// The source of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The gateway itself.
    Gateway,
    /// A callback.
    Callback,
    /// The answer to the purchase.
    Answer,
    /// The answer to a status check.
    Check,
    /// An operator who settled the transaction.
    Operator,
}

/// The content of one observation: a proof, or less than a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// An attempt provably sent nothing.
    NotSent {
        /// The number of the attempt, counted from 1.
        attempt: u32,
        /// The reason.
        why: NotSent,
    },
    /// The POST may have been sent; its outcome is unknown.
    Unknown(UnknownCause),
    /// An unconfirmed callback: displayed, never believed (promise 7).
    Reported,
    /// OKEBAYAR accepted the transaction and is processing it.
    Pending,
    /// A final code that OKEBAYAR also returns during its own faults. Two checks that agree, far
    /// enough apart, make it a failure.
    Doubtful(FailureReason),
    /// A configured code by which OKEBAYAR reports that it never received the request. It is
    /// believed only when it comes long enough after the POST.
    NotReceived,
    /// Proven failure.
    Failed(FailureReason),
    /// OKEBAYAR reports that the bill is paid (401) while another transaction for it is open, so
    /// that ours may have paid it.
    PaidMeanwhile,
    /// Proven success: the money is spent.
    Succeeded,
    /// An operator's decision; its reasons are in the statement's `resolution`.
    Resolved(Verdict),
    /// The check schedule ended without a proof.
    ChecksExhausted,
    /// The check schedule of a missing serial number ended.
    SerialNumberGivenUp,
}

/// The reason why a transaction failed or may have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// Code 200.
    ProductUnavailable,
    /// Code 201.
    BillerTrouble,
    /// Code 202.
    ServerTrouble,
    /// Code 203.
    DepositExhausted,
    /// Code 204.
    WrongAccountNumber,
    /// Code 205.
    WrongProductCode,
    /// Code 206.
    BadFormat,
    /// Codes 207, 211, 212 and 213.
    GatewayCredentials,
    /// Code 210.
    CrossRegion,
    /// Code 214.
    RequestExpired,
    /// Code 215.
    AccountCannotReceive,
    /// Code 232.
    ProductAccountMismatch,
    /// Code 233.
    TooManyBills,
    /// Code 234.
    Cancelled,
    /// Codes 400 and 402 to 405.
    BillRefused,
    /// Code 401.
    AlreadyPaid,
    /// Code 500.
    AccountBlacklisted,
    /// A code that the configuration lists as "never received".
    NotReceived,
    /// An operator's decision.
    Resolved,
    /// Code 240, and undocumented final codes.
    Unidentified,
}

/// The reason why the outcome of a POST or a check is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCause {
    /// No answer came within the upstream time-out.
    TimedOut,
    /// The connection broke after the request may have been sent.
    Broken,
    /// An HTTP status outside 2xx, such as 500.
    HttpStatus(u16),
    /// The answer is unreadable.
    Unreadable,
    /// The answer is about another reference code, product or account.
    AboutAnother,
    /// The answer belongs to an inquiry.
    AboutInquiry,
    /// The status code proves nothing about the outcome, such as 208.
    Inconclusive,
    /// The sending process is gone, or did not report in time.
    SenderLost,
}

/// The reason why it is certain that nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotSent {
    /// No connection to OKEBAYAR could be established: DNS, connect or TLS failed.
    Unreachable,
    /// The gateway abandoned the attempt before the POST: no sending slot in time, or its own
    /// deadline to send passed.
    Overloaded,
    /// The caller's `expire_time` passed before the POST. Never stored, so that an earlier release
    /// can read the record: it is [`Self::Overloaded`] after the `expire_time` of the attempt.
    #[serde(skip)]
    Expired,
    /// The claim was abandoned: the store did not confirm it, or a condition of the purchase no
    /// longer held after it.
    ClaimLost,
    /// The attempt was quarantined, and OKEBAYAR reports that it never received the reference code.
    #[serde(rename = "held_back")]
    Quarantined,
}

/// An operator's verdict on a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The money was spent and the product delivered.
    Succeeded,
    /// No money was spent.
    Failed,
    /// The transaction succeeded and was reversed: the money is returned.
    Reversed,
}
