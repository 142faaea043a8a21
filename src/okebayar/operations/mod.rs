//! The operations of a client, one file for each.

mod balance;
mod check;
mod echo;
mod inquire;
mod question;
mod send;

pub use inquire::{Inquirer, InquiryReply};
pub use send::SendOutcome;
