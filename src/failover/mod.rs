//! The failover guard.

pub mod command;
pub mod guard;
pub mod quarantine;
pub mod release;
