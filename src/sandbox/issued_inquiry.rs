//! An inquiry that was answered, and that a purchase or payment may use.

use jiff::Timestamp;

use super::{
    bill::SandboxBill,
    format::WireFormat,
    misprint::{self, Printed},
};

/// An inquiry that was answered 000.
#[derive(Clone)]
pub struct SandboxInquiry {
    /// The reference code under which it was made.
    pub reference_code: String,
    /// The product.
    pub product_code: String,
    /// Who is asked about: `accnumber1` to `accnumber3`.
    pub account_numbers: [String; 3],
    /// The payer.
    pub contact_number: String,
    /// Until when it may be used.
    pub expires_at: Timestamp,
    /// References that must come back to the letter.
    pub refs: [String; 3],
    /// The format in which it was answered: amounts look different in the two.
    pub format: WireFormat,
    /// What is owed; a prepaid inquiry has none.
    pub bill: Option<SandboxBill>,
    /// What its answer printed otherwise: that must come back.
    pub misprints: misprint::MisprintedFields,
}

impl SandboxInquiry {
    /// Returns true when a request says a field as the answer printed it; `text` is what it
    /// prints without misprints.
    pub fn is_said(&self, name: &str, text: &str, said: &str) -> bool {
        match self.misprints.get(name) {
            Some(printed) => printed.is_said_by(said),
            None => said == text,
        }
    }

    /// Returns what the answer printed in a field.
    pub fn told<'a>(&'a self, name: &str, text: &'a str) -> &'a str {
        self.misprints.get(name).map_or(text, Printed::text)
    }
}
