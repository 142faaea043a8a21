//! Status checks: on schedule, on a callback or caller's request, and the operator's resolution where
//! no check settles a transaction.
//!
//! [`reconciler`] finds due checks and leases them; `status_check` makes one; `other_accounts` asks the other
//! accounts about a quarantined reference code; [`unconfigured`] moves the schedule of transactions
//! whose account this gateway does not have.

#[expect(clippy::module_inception, reason = "the file of the type `Checks`")]
mod checks;
mod lease;
mod on_request;
mod other_accounts;
pub mod reconciler;
mod resolution;
mod skipped;
mod status_check;
pub mod unconfigured;

pub use checks::Checks;
pub use lease::LeasedCheck;
pub use on_request::{CheckError, CheckedTransaction};
pub use resolution::ResolveError;
pub use skipped::SkippedChecks;
