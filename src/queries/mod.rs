//! Queries of OKEBAYAR that move no money.

pub mod in_flight;
pub mod question;

pub use question::QuestionError;

pub use crate::okebayar::{
    inquiry::{Customer, Found, Question},
    pln::{PlnBill, PlnPostpaid, PlnPrepaid},
    verdict::Refusal,
};
