//! Purchases: the call, at-most-once sending, and the `sent` metadata of an error.

pub mod abandonment;
pub mod concurrent_duplicates;
pub mod guards;
pub mod not_sent;
pub mod prepaid;
pub mod redis_faults;
pub mod reference_codes;
pub mod round_trips;
pub mod send_deadline;
pub mod sent_metadata;
pub mod store_faults;
pub mod terms;
