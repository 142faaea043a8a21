//! The failover guard: detection of a lost replication epoch, quarantine, and its end.

pub mod embedded_restore;
pub mod guard_command;
pub mod loss_detection;
pub mod loss_in_flight;
pub mod quarantine;
pub mod replication_epoch;
