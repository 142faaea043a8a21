//! Inquiries: what is asked, and what OKEBAYAR's answer tells (API page, section 3).

mod customer;
mod reader;
mod result;
mod sale;

pub(super) use reader::{InquiryContext, read_postpaid, read_prepaid};
pub use result::InquiryResult;
pub(super) use sale::{is_payment, is_prepaid_sale};
