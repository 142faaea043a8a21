//! The question of a postpaid inquiry: the product and the customer.

use crate::transaction::{AccountNumber, ProductCode, Verbatim};

/// A customer; each form fills `accnumber1` to `accnumber3` in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Customer {
    /// A customer with one number.
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
        /// The number of months to pay for, 1 to 12.
        months: u8,
        /// The payer's phone number, which the payment sends.
        payer_phone: AccountNumber,
    },
}

impl Customer {
    /// Returns `accnumber1`.
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

    /// Returns the months of a BPJS inquiry as text; an empty text for other customers.
    pub(super) fn months(&self) -> String {
        match self {
            Self::Bpjs { months, .. } => months.to_string(),
            _ => String::new(),
        }
    }

    /// Returns `accnumber1` to `accnumber3` of the inquiry.
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
    /// The customer of the bill.
    pub customer: Customer,
    /// The payer's phone or e-mail address.
    pub contact_number: Verbatim,
    /// The caller's reference, for products that require one.
    pub ref1: Option<Verbatim>,
}
