//! The failover guard: what must not be sent, because the store may have forgotten
//! that it was sent before (promise 1).
//!
//! A store names its history. When the name is another one, records may be lost: a
//! replica was promoted, Redis was started again, a backup was restored. Whoever
//! notices first says so in the note `guard`, which all gateways read; a claim is
//! refused under any name but the one its maker knows, so none can come before that.
//!
//! A store that is emptied while it runs keeps its name. So the note has a random id,
//! which every gateway remembers: another id, or none, is a loss as well. The id is
//! copied to every part of the store (its **seals**), and a claim is refused where the
//! seal is not the id its maker remembers. Each loss gives the note another id.
//!
//! ```text
//! new note:   note {id, not sealed}  ->  seals = id  ->  note {id, sealed}
//! ```
//!
//! All copies come from the one note, so two gateways that start together write the same.
//! A seal that is missing although the note says "sealed" is a loss of that part.
//!
//! A gateway that starts remembers nothing. Where it finds no note, others that run show that
//! the store is none that is new: they listen for changes, or their next look writes a note.
//! One whose connection broke needs a moment for that, so the starter waits for as long.
//!
//! For a while from then on a reference code is sent only if it provably was not sent
//! before. Any other one is held back, and status checks find out.

pub mod failover_guard;
pub mod guard_view;
pub mod known_epoch;
mod listed;
pub mod observation;
pub mod operator;
pub mod release;

pub use failover_guard::{FailoverGuard, VERIFY_TIMEOUT};
pub use known_epoch::{GuardSettings, KnownEpoch};
pub use listed::{ListedTransaction, is_open};
