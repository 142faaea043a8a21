//! Status checks, and resolution by an operator.

pub mod check;
pub mod reconciler;
pub mod resolution;
pub mod unconfigured;

pub use check::{CheckError, Checked, LeasedCheck};
pub use resolution::ResolveError;
