//! The order that is sent to OKEBAYAR for a transaction: known before the claim, and stored with
//! it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    account_number::AccountNumber,
    amount::{Amount, Quoted},
    code_types::ProductCode,
};

/// A text from OKEBAYAR that is sent back verbatim. It may be a customer's number, so `Debug` never
/// shows it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verbatim(String);

impl Verbatim {
    /// Wraps a text as received.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text as received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses the text as an amount; returns `None` when it is not one.
    #[must_use]
    pub fn amount(&self) -> Option<Amount> {
        Quoted::read(&self.0).amount()
    }
}

impl fmt::Debug for Verbatim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verbatim(hidden)")
    }
}

/// A purchase from OKEBAYAR, or a payment through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// OKEBAYAR's product code.
    pub product_code: ProductCode,
    /// The recipient; for a bill, `accnumber1`.
    pub account_number: AccountNumber,
    /// The data of the inquiry, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inquired: Option<InquiredData>,
}

impl Order {
    /// Returns the bill that is paid; a prepaid purchase has none.
    #[must_use]
    pub fn bill(&self) -> Option<&Bill> {
        self.inquired.as_ref()?.bill.as_ref()
    }

    /// Returns true when both orders have the same product, customer and period, regardless of the
    /// amounts.
    #[must_use]
    pub fn is_same_bill(&self, other: &Self) -> bool {
        let customer = |order: &Self| {
            let inquired = order.inquired.as_ref();
            inquired.map(|inquired| inquired.customer.clone())
        };
        let period = |order: &Self| order.bill().map(|bill| bill.account_numbers[2].clone());
        self.product_code == other.product_code
            && self.account_number == other.account_number
            && customer(self) == customer(other)
            && period(self) == period(other)
    }

    /// Returns true when a number identifies the customer of the order: it is `accnumber1` or, for
    /// a telephone line, area code and number together.
    #[must_use]
    pub fn is_for(&self, number: &AccountNumber) -> bool {
        let inquired = self.inquired.as_ref();
        let joined = inquired.map(|inquired| inquired.customer.as_str().replacen('/', "", 1));
        self.account_number == *number || joined.is_some_and(|joined| joined == number.as_str())
    }
}

/// The data that an inquiry adds to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InquiredData {
    /// The `ref1` to `ref3` of the inquiry's answer, as far as present.
    pub refs: [Option<Verbatim>; 3],
    /// The time at which the inquiry was answered; older records lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The customer, by whom two payments of one bill are recognized.
    pub customer: Verbatim,
    /// The bill that is paid; a prepaid purchase has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<Bill>,
}

/// The data of a bill in its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// `accnumber1` to `accnumber3` of the payment.
    pub account_numbers: [Verbatim; 3],
    /// The payer's phone or e-mail address.
    pub contact_number: Verbatim,
    /// The amount owed, without the fee.
    pub nominal: Verbatim,
    /// The fee in addition to it.
    pub admin_fee: Verbatim,
}

impl Bill {
    /// Returns the fee, zero if absent; `None` when it is unreadable.
    #[must_use]
    pub fn fee(&self) -> Option<Amount> {
        match Quoted::read(self.admin_fee.as_str()) {
            Quoted::Absent => Some(Amount::ZERO),
            quoted => quoted.amount(),
        }
    }

    /// Returns the total, `nominal + adminfee`; `None` when it cannot be computed.
    #[must_use]
    pub fn total(&self) -> Option<Amount> {
        self.nominal.amount()?.checked_add(self.fee()?)
    }

    /// Returns every text that is sent back to OKEBAYAR verbatim, with its name.
    fn texts(&self) -> [(&'static str, &Verbatim); 6] {
        let [one, two, three] = &self.account_numbers;
        [
            ("accnumber1", one),
            ("accnumber2", two),
            ("accnumber3", three),
            ("contactnumber", &self.contact_number),
            ("nominal", &self.nominal),
            ("adminfee", &self.admin_fee),
        ]
    }
}

impl InquiredData {
    /// Returns every text that is sent back to OKEBAYAR verbatim, with its name.
    pub fn texts(&self) -> impl Iterator<Item = (&'static str, &Verbatim)> {
        let refs = ["ref1", "ref2", "ref3"].into_iter().zip(&self.refs);
        let refs = refs.filter_map(|(name, text)| Some((name, text.as_ref()?)));
        self.bill.iter().flat_map(Bill::texts).chain(refs)
    }
}
