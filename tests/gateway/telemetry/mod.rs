//! Health, metrics, traces, and secrets that none of them may hold.

pub mod metrics;
pub mod secrets;
pub mod traces;
