//! The operations of a [`Client`](super::client::Client), one file for each: each builds its
//! request, posts it once, and interprets the answer.

mod balance;
mod check;
mod echo;
mod inquire;
mod question;
mod send;

pub use inquire::{Inquirer, InquiryReply};
pub use send::SendOutcome;
