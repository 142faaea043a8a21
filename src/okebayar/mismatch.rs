//! The field in which an answer differs from the request.

use super::{account_number::masked, answer::Answer};

/// A field of an answer that differs from the transaction or question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Only the account number, under our reference code.
    AccountNumber,
    /// Only the product code, under our reference code.
    ProductCode,
    /// Only the second account number, under our reference code.
    AccountNumber2,
    /// Only the third account number, the months of a BPJS bill, under our reference code.
    AccountNumber3,
    /// Only the inquiry that was paid, under our reference code.
    InquiryCode,
    /// The reference code, or several fields.
    Transaction,
}

impl Mismatch {
    /// The fields that may differ alone, under our reference code.
    pub const ALONE: [Self; 5] = [
        Self::AccountNumber,
        Self::ProductCode,
        Self::AccountNumber2,
        Self::AccountNumber3,
        Self::InquiryCode,
    ];

    /// Returns the value of the field in an answer; account numbers and inquiry codes are masked.
    pub(super) fn named(self, answer: &Answer) -> Option<String> {
        match self {
            Self::AccountNumber => answer.account_number.as_deref().map(masked),
            Self::AccountNumber2 => answer.account_number_2.as_deref().map(masked),
            Self::AccountNumber3 => answer.account_number_3.as_deref().map(masked),
            Self::InquiryCode => answer.inquiry_code.as_deref().map(masked),
            Self::ProductCode | Self::Transaction => answer.product_code.clone(),
        }
    }

    /// Returns the wire name of the field.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::AccountNumber => "accnumber",
            Self::ProductCode => "productcode",
            Self::AccountNumber2 => "accnumber2",
            Self::AccountNumber3 => "accnumber3",
            Self::InquiryCode => "inquirycode",
            Self::Transaction => "referencecode",
        }
    }
}
