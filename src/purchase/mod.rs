//! Purchases and payments: admission, claim, POST, outcome.
//!
//! A purchase runs in a task of its own from the claim on, so that neither a caller's cancel nor
//! its deadline nor a shutdown can abort a POST that has started (promise 14).
//!
//! ```text
//! buy -> admission -> (order, bill)  -> claim -> recheck -> send -> outcome
//!                                      \-> abandonment
//! ```

mod abandonment;
mod admission;
mod bill;
mod buy;
mod claim;
mod claims_in_flight;
mod error;
mod order;
mod outcome;
mod purchases;
mod recheck;
mod send;
mod sent;
mod unfinished;

pub use buy::Purchase;
pub use claims_in_flight::ClaimsInFlight;
pub use error::{Holder, PurchaseError, Sent};
pub use purchases::{PurchaseSettings, Purchases};
pub use unfinished::Unfinished;
