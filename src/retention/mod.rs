//! The end of what is in the store, and what must not end yet.
//!
//! One replica at a time makes passes over the store, in small steps with pauses, so that it never
//! competes with purchases. A pass
//!
//! 1. renews the notes that open transactions rest on (`renewal`);
//! 2. retires records whose last change is old enough (`walk`), by the rules in [`rules`];
//! 3. removes some of the tombstones that have ended, and of the items of lists (`remains`).
//!
//! # What keeps a purchase from being repeated
//!
//! - A final record leaves a tombstone in the same atomic step, and a claim finds one or the other.
//! - A record is retired only as the version that was read. A call that arms NOT_SENT again either
//!   changes it before, and it is not deleted, or finds nothing stored, and is answered UNAVAILABLE:
//!   the call after it begins anew.
//! - NOT_SENT proves that no process may send: one that holds the right to send holds a record in
//!   SENDING. Even so, it stays until the POST of its last attempt would be over by every clock.
//! - Nothing ends while the store is unfit, while the failover guard is on, after the replication
//!   epoch has changed during a pass, or while the clock of this machine and that of the store
//!   differ by more than `store.clock_skew`. A change of the epoch right before a retirement does no
//!   harm: the version that was read is still compared.
//! - Nothing ends while the clock is far ahead of the last pass, until it has been steady for an hour,
//!   and no tombstones for two days after that (`steadiness`).
//! - Nothing ends in a store that a release without tombstones may share
//!   ([`crate::store::Store::ends_records`]).
//!
//! The lease on a pass is no more than an optimization: two replicas that retire at once exclude
//! each other by every single record.

mod interruption;
mod lease;
mod pass_note;
mod passes;
mod remains;
mod renewal;
#[expect(clippy::module_inception, reason = "the file of the type `Retention`")]
mod retention;
pub mod rules;
mod settings;
mod steadiness;
mod unreadable_records;
mod walk;

pub use passes::run;
pub use retention::Retention;
pub use settings::RetentionSettings;
