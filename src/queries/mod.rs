//! Queries of OKEBAYAR that move no money: the deposit, an echo, and inquiries.
//!
//! An inquiry that OKEBAYAR takes for a purchase moves money all the same; [`crate::sales`] stores
//! it.

mod account;
mod error;
mod in_flight;
mod postpaid_inquiry;
mod prepaid_inquiry;
#[expect(clippy::module_inception, reason = "the file of the type `Queries`")]
mod queries;
mod stored_inquiry;

pub use crate::okebayar::{
    inquiry::InquiryResult,
    pln::{PlnBill, PlnPostpaid, PlnPrepaid},
    question::{Customer, Question},
    verdict::Refusal,
};
pub use error::QueryFailure;
pub use in_flight::InquiriesInFlight;
pub use queries::Queries;
pub use stored_inquiry::HeldInquiry;
