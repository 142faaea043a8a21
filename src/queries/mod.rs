//! Queries of OKEBAYAR that move no money: the deposit, an echo, and inquiries.

mod account;
mod error;
mod in_flight;
mod postpaid_inquiry;
mod prepaid_inquiry;
#[expect(clippy::module_inception, reason = "the file of the type `Queries`")]
mod queries;

pub use crate::okebayar::{
    inquiry::{Customer, Found, Question},
    pln::{PlnBill, PlnPostpaid, PlnPrepaid},
    verdict::Refusal,
};
pub use error::QueryFailure;
pub use in_flight::InquiriesInFlight;
pub use queries::Queries;
