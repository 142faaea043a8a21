//! `store verify`: reads everything in the store, and reports what is inconsistent.
//!
//! It writes nothing, and gateways may run meanwhile: what looks inconsistent is read again before it
//! is reported, because a gateway may have changed it between two reads.

mod checks;
mod events;
mod notes;
mod report;
mod run;

pub(in crate::cli) use run::Unverified;
pub(super) use run::run;
