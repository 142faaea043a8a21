//! The reason why an answer settles nothing.

use crate::okebayar::mismatch::Mismatch;

/// The reason why the answer to a check, or a callback, settles nothing (promise 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// It names another reference code, several other fields that are not ours, or no reference
    /// code.
    #[error("it is not about this transaction")]
    AboutAnother,
    /// It names our reference code, and one other field that is not ours.
    #[error("it names another {}", .0.field())]
    Differs(Mismatch),
    /// It names another member, so nothing in it is about us.
    #[error("it names another member")]
    AboutAnotherMember,
    /// It carries `inquiryexpired`, so it is about an inquiry.
    #[error("it is about an inquiry")]
    AboutInquiry,
    /// Its status code is about the check itself, as 207 is.
    #[error("it is about the check itself")]
    AboutTheCheck,
    /// It may mean that OKEBAYAR does not know the reference code, which settles nothing.
    #[error("it may mean that the transaction was not found")]
    MayMeanNotFound,
    /// It reports success and shows nothing of the purchase: only the check may have succeeded.
    #[error("it reports success and shows nothing of the purchase")]
    MayMeanTheCheck,
    /// Its status is not three digits.
    #[error("its status is not a status code")]
    NoStatus,
    /// The reference code was also used for an inquiry, which the check may have found.
    #[error("it may be about an inquiry under the same reference code")]
    MayBeInquiry,
    /// Its code is listed as "never received", and it shows a record.
    #[error("its code means that the reference code was never received, and it shows a record")]
    ContradictsItself,
}
