//! Callbacks of OKEBAYAR: the listener, confirmation by a check, orphans.

pub mod confirmation;
pub mod listener;
pub mod orphans;
pub mod store_outage;
