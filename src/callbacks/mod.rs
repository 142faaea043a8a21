//! OKEBAYAR's callbacks.

pub mod listener;
pub mod orphan_checks;
pub mod recorder;

pub use recorder::Received;
