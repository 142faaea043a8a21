//! The failover guard: detection of a lost replication epoch, quarantine, and its end.

pub mod quarantine;
pub mod replication_epoch;
