//! The result of an inquiry.

use crate::{
    okebayar::{
        answer::Answer,
        fields::Fields,
        pln::{PlnPostpaid, PlnPrepaid},
    },
    transaction::{Amount, Inquiry},
};

/// The result of an inquiry: everything in the answer, typed or by name.
#[derive(Clone, Debug)]
pub struct InquiryResult {
    /// The part that is stored for the purchase or payment.
    pub inquiry: Inquiry,
    /// The reference code of the inquiry.
    pub reference_code: String,
    /// `accnumber1` to `accnumber3`, as answered.
    pub account_numbers: [String; 3],
    /// The payer's phone or e-mail address, as answered.
    pub contact_number: String,
    /// The amount of the bill; `None` where it is unreadable.
    pub nominal: Option<Amount>,
    /// The fee on top of it; `None` where it is unreadable.
    pub admin_fee: Option<Amount>,
    /// The amount to pay; `None` where it cannot be computed.
    pub total: Option<Amount>,
    /// The details of an electricity token.
    pub pln_prepaid: Option<PlnPrepaid>,
    /// The details of an electricity bill.
    pub pln_postpaid: Option<PlnPostpaid>,
    /// All other fields, in order.
    pub fields: Fields,
    /// The answer itself.
    pub answer: Answer,
}
