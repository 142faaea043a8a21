//! Reads the answers to inquiries (docs/OKEBAYAR.md, section 3), and recognizes those that are the
//! answer to a purchase or payment.

mod customer;
mod reader;
mod result;
mod sale;

pub(super) use reader::{InquiryContext, read_postpaid, read_prepaid};
pub use result::InquiryResult;
pub(super) use sale::{is_payment, is_prepaid_sale};
