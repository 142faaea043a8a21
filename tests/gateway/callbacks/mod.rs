//! Callbacks of OKEBAYAR: the listener, confirmation by a check, orphans.

pub mod confirmation;
pub mod orphans;
