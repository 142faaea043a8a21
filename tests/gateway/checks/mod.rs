//! Status checks: on request, by schedule, on evidence, and resolution by an operator.

pub mod check_transaction;
pub mod outcomes;
pub mod reconciler;
pub mod resolution;
