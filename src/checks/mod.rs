//! Status checks: on schedule, after a callback, and on a caller's request; and the operator's
//! resolution of a transaction that no check settles.
//!
//! | file | holds |
//! | --- | --- |
//! | [`reconciler`] | the loop that finds due checks and makes them |
//! | `slots` | the slots of concurrent checks |
//! | `lease` | the due checks, and the leases on them |
//! | `status_check` | one status check |
//! | `other_accounts` | checks of a quarantined reference code at the other accounts |
//! | `on_request` | checks on a caller's request |
//! | `resolution` | resolution by an operator |
//! | [`unconfigured`] | due transactions whose account this gateway does not have |
//! | `skipped` | the due checks that are left to other gateways |

#[expect(clippy::module_inception, reason = "the file of the type `Checks`")]
mod checks;
mod lease;
mod on_request;
mod other_accounts;
pub mod reconciler;
mod resolution;
mod skipped;
mod slots;
mod status_check;
pub mod unconfigured;

pub use checks::Checks;
pub use lease::LeasedCheck;
pub use on_request::{CheckError, CheckedTransaction};
pub use resolution::ResolveError;
pub use skipped::SkippedChecks;
pub use slots::Concurrency;
