//! Inquiries: what is asked, and what OKEBAYAR's answer tells (API page, section 3).

mod customer;
mod found;
mod reader;
mod sale;

pub use found::Found;
pub(super) use reader::{Asked, found_postpaid, found_prepaid};
pub(super) use sale::{is_payment, is_prepaid_sale};
