//! The questions of inquiries: what is asked, and about whom.

use crate::transaction::{AccountNumber, ProductCode, Verbatim};

/// How a customer is named; each form fills `accnumber1` to `accnumber3` its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Customer {
    /// One number.
    Plain(AccountNumber),
    /// A fixed telephone line.
    Pstn {
        /// The area code.
        area_code: AccountNumber,
        /// The number without it.
        number: AccountNumber,
    },
    /// A member of the health insurance.
    Bpjs {
        /// The member's number.
        member: AccountNumber,
        /// How many months are paid for, 1 to 12.
        months: u8,
        /// The payer's phone number, which the payment names.
        payer_phone: AccountNumber,
    },
}

impl Customer {
    /// `accnumber1`.
    #[must_use]
    pub fn account_number(&self) -> &AccountNumber {
        match self {
            Self::Plain(number)
            | Self::Pstn {
                area_code: number, ..
            }
            | Self::Bpjs { member: number, .. } => number,
        }
    }

    /// The months of a BPJS inquiry as text; none otherwise.
    pub(super) fn months(&self) -> String {
        match self {
            Self::Bpjs { months, .. } => months.to_string(),
            _ => String::new(),
        }
    }

    /// `accnumber1` to `accnumber3` of the inquiry.
    pub(super) fn account_numbers<'a>(&'a self, months: &'a str) -> [&'a str; 3] {
        match self {
            Self::Plain(number) => [number.as_str(), "", ""],
            Self::Pstn { area_code, number } => [area_code.as_str(), number.as_str(), ""],
            Self::Bpjs { member, .. } => [member.as_str(), "", months],
        }
    }
}

/// A postpaid inquiry.
#[derive(Clone, Debug)]
pub struct Question {
    /// OKEBAYAR's product code.
    pub product_code: ProductCode,
    /// Whose bill.
    pub customer: Customer,
    /// The payer's phone or e-mail address.
    pub contact_number: Verbatim,
    /// A reference of the caller's, if the product wants one.
    pub ref1: Option<Verbatim>,
}
