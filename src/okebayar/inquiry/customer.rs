//! The comparison of the customer in an answer with the customer in the question.

use crate::{
    okebayar::{
        account_number::{is_other_number, is_other_period},
        answer::Answer,
        mismatch::Mismatch,
        phone_number::is_same_phone,
        question::Customer,
    },
    transaction::Verbatim,
};

impl Customer {
    /// Returns the second or third account number where an answer differs from the question. The
    /// payment sends back what the answer names, so where the question names none the answer must
    /// name none either, except the payer of a BPJS bill (docs/OKEBAYAR.md, section 3).
    pub(super) fn difference(&self, answer: &Answer, contact_number: &str) -> Option<Mismatch> {
        let months = self.months();
        let [_, two, three] = self.account_numbers(&months);
        let named_two = answer.account_number_2.as_deref();
        let is_payer = |named: &str| match self {
            Self::Bpjs { payer_phone, .. } => {
                is_same_phone(named, payer_phone.as_str()) || is_same_phone(named, contact_number)
            }
            _ => false,
        };
        let is_other_two =
            named_two.is_some_and(|named| is_other_number(named, two) && !is_payer(named));
        let named_three = answer.account_number_3.as_deref();
        let is_other_three = named_three.is_some_and(|named| is_other_period(named, three));
        match (is_other_two, is_other_three) {
            (false, false) => None,
            (true, false) => Some(Mismatch::AccountNumber2),
            (false, true) => Some(Mismatch::AccountNumber3),
            (true, true) => Some(Mismatch::Transaction),
        }
    }

    /// Returns the text that identifies the customer, independent of product and payer.
    pub(super) fn identity(&self) -> Verbatim {
        let [one, two, _] = self.account_numbers("");
        Verbatim::new(format!("{one}/{two}"))
    }
}
