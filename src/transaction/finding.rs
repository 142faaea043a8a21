//! What one observation proves, or fails to prove.

use serde::{Deserialize, Serialize};

/// Who said it.
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
    /// A human who settled it.
    Operator,
}

/// What one observation proves, or fails to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Attempt number `attempt` provably sent nothing.
    NotSent {
        /// Which attempt, counted from 1.
        attempt: u32,
        /// Why.
        why: NotSent,
    },
    /// Something may have been sent; the outcome is unknown.
    Unknown(UnknownCause),
    /// An unconfirmed callback: shown, never believed (promise 7).
    Reported,
    /// Accepted and being processed.
    Pending,
    /// A final code that OKEBAYAR also gives when it is merely unwell: two checks
    /// that agree, far enough apart, make it a failure.
    Doubtful(FailureReason),
    /// OKEBAYAR says, by a configured code, that it never received the request:
    /// believed only long enough after the POST.
    NotReceived,
    /// Proven failure.
    Failed(FailureReason),
    /// OKEBAYAR says that the bill is paid (401) while another transaction for it is
    /// open: it may be ours that paid.
    PaidMeanwhile,
    /// Proven success: the money is spent.
    Succeeded,
    /// What a human decided; [`Statement::resolution`] says why.
    Resolved(Verdict),
    /// The check schedule ended without a proof.
    ChecksExhausted,
    /// The check schedule of a missing serial number ended.
    SerialNumberGivenUp,
}

/// Why OKEBAYAR, or the gateway, says that a purchase failed or may have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// 200
    ProductUnavailable,
    /// 201
    BillerTrouble,
    /// 202
    ServerTrouble,
    /// 203
    DepositExhausted,
    /// 204
    WrongAccountNumber,
    /// 205
    WrongProductCode,
    /// 206
    BadFormat,
    /// 207, 211, 212, 213
    GatewayCredentials,
    /// 210
    CrossRegion,
    /// 214
    RequestExpired,
    /// 215
    AccountCannotReceive,
    /// 232
    ProductAccountMismatch,
    /// 233
    TooManyBills,
    /// 234
    Cancelled,
    /// 400, 402 to 405
    BillRefused,
    /// 401
    AlreadyPaid,
    /// 500
    AccountBlacklisted,
    /// A code that the configuration lists as "never received".
    NotReceived,
    /// A human found out.
    Resolved,
    /// 240, and undocumented final codes
    Unidentified,
}

/// Why an outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCause {
    /// No answer came within the upstream time-out.
    TimedOut,
    /// The connection broke after the request may have been sent.
    Broken,
    /// An HTTP status outside 2xx, such as 500.
    HttpStatus(u16),
    /// An answer that cannot be read.
    Unreadable,
    /// An answer about another reference, product or account.
    AboutAnother,
    /// An answer that belongs to an inquiry.
    AboutInquiry,
    /// A status code that says nothing about the outcome, such as 208.
    Inconclusive,
    /// The process that was sending is gone, or gave no sign in time.
    SenderLost,
}

/// Why it is certain that nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotSent {
    /// No connection to OKEBAYAR could be made: DNS, connect or TLS.
    Unreachable,
    /// The gateway was too busy, or stopping, and gave the attempt up.
    Overloaded,
    /// The claim could not be confirmed in the store, so it was given up.
    ClaimLost,
    /// It was held back, and OKEBAYAR says that it never received the reference code.
    #[serde(rename = "held_back")]
    Quarantined,
}

/// What a human found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The money is spent, the product delivered.
    Succeeded,
    /// No money was spent.
    Failed,
    /// It had succeeded, and was taken back: the money is returned.
    Reversed,
}
