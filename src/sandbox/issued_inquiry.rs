//! An inquiry that succeeded, and that a later purchase or payment may use.

use jiff::Timestamp;

use super::{
    bill::SandboxBill,
    format::WireFormat,
    misprint::{self, Printed},
};

/// An inquiry that was answered with 000.
#[derive(Clone)]
pub struct SandboxInquiry {
    /// The reference code under which it was made.
    pub reference_code: String,
    /// The product code.
    pub product_code: String,
    /// The customer: `accnumber1` to `accnumber3`.
    pub account_numbers: [String; 3],
    /// The contact number of the payer.
    pub contact_number: String,
    /// The time at which the inquiry expires.
    pub expires_at: Timestamp,
    /// `ref1` to `ref3`, which the payment must repeat exactly.
    pub refs: [String; 3],
    /// The format of the answer: the notation of amounts depends on it.
    pub format: WireFormat,
    /// The bill; `None` for a prepaid inquiry.
    pub bill: Option<SandboxBill>,
    /// The misprints of the answer, which the payment must repeat.
    pub misprints: misprint::MisprintedFields,
}

impl SandboxInquiry {
    /// Returns true when `said`, the value in a request, equals the value in the answer. `text` is
    /// the value that the answer has without misprints.
    pub fn matches(&self, name: &str, text: &str, said: &str) -> bool {
        match self.misprints.get(name) {
            Some(printed) => printed.matches(said),
            None => said == text,
        }
    }

    /// Returns the text of a field in the answer; `text` is the text without misprints.
    pub fn printed_text<'a>(&'a self, name: &str, text: &'a str) -> &'a str {
        self.misprints.get(name).map_or(text, Printed::text)
    }
}
