//! The reasons why an answer settles nothing.

use crate::okebayar::mismatch::Mismatch;

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
