//! What an inquiry found.

use crate::{
    okebayar::{
        answer::Answer,
        fields::Fields,
        pln::{PlnPostpaid, PlnPrepaid},
    },
    transaction::{Amount, Inquiry},
};

/// What an inquiry found: all that the answer said.
#[derive(Clone, Debug)]
pub struct InquiryResult {
    /// What is kept for the purchase or payment.
    pub inquiry: Inquiry,
    /// The reference code under which it was made.
    pub reference_code: String,
    /// `accnumber1` to `accnumber3`, as answered.
    pub account_numbers: [String; 3],
    /// The payer's phone or e-mail address, as answered.
    pub contact_number: String,
    /// What is owed, where it can be read.
    pub nominal: Option<Amount>,
    /// The fee on top of it, where it can be read.
    pub admin_fee: Option<Amount>,
    /// What is to be paid, where it can be told.
    pub total: Option<Amount>,
    /// Detail of an electricity token.
    pub pln_prepaid: Option<PlnPrepaid>,
    /// Detail of an electricity bill.
    pub pln_postpaid: Option<PlnPostpaid>,
    /// Whatever else came, in order.
    pub fields: Fields,
    /// The answer itself.
    pub answer: Answer,
}
