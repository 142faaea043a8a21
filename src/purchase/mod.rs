//! Purchases and payments: admission, claim, POST, outcome.
//!
//! Admission spawns a task that claims and sends. Neither the caller's cancellation or deadline nor
//! a shutdown aborts a POST that has started (promise 14).
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
mod guards;
mod order;
mod outcome;
mod purchases;
mod recheck;
mod send;
mod send_status;
mod unfinished;
mod validate;

pub use buy::Purchase;
pub use claims_in_flight::ClaimsInFlight;
pub use error::{Holder, PurchaseError, Sent};
pub use purchases::{PurchaseSettings, Purchases};
pub use unfinished::Unfinished;
