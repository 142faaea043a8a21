//! The failover guard: it keeps the gateway from sending a reference code again after the store has
//! lost the record of the first time (promise 1).
//!
//! # The replication epoch
//!
//! A store names its replication epoch. In another epoch records may be lost: a replica was
//! promoted, Redis was restarted, or a backup was restored. The first gateway that notices records
//! the loss in the note `guard`, which all gateways read. The store rejects a claim that names
//! another epoch, so no claim can come before the note.
//!
//! # Seals
//!
//! A store that is flushed while it runs keeps its epoch. The note therefore has a random id, which
//! every gateway remembers; a changed or missing id is a loss. The id is copied to every part of the
//! store (its **seals**). The store rejects a claim where the seal differs from the id that the
//! claiming gateway remembers. Each loss gives the note another id.
//!
//! ```text
//! new note:   note {id, not sealed}  ->  seals = id  ->  note {id, sealed}
//! ```
//!
//! All copies come from the one note, so two gateways that start together write the same. A seal
//! that is missing although the note is marked as sealed is a loss of that part.
//!
//! # A gateway that starts
//!
//! A gateway that starts remembers no id. Where it finds no note, gateways that already run show
//! that the store is not new: they subscribe to changes, or their next observation writes a note. A
//! gateway whose connection broke needs a moment for that, so the starting one waits for as long.
//!
//! # Quarantine
//!
//! For a while after a loss, the gateway sends a reference code only if it provably was not sent
//! before. It quarantines any other one, and status checks resolve it.
//!
//! | file | holds |
//! | --- | --- |
//! | [`known_epoch`] | the epoch and the note |
//! | [`observation`] | reading the epoch, and detecting a loss |
//! | [`failover_guard`] | the guard of one process |
//! | [`carried`] | the state that a copied store takes over, and the seals of its source |
//! | [`operator`] | turning the guard on and off by hand |
//! | [`guard_view`] | the state of the guard, read without writing |
//! | `possibly_lost` | transactions by key, and whether the store may have lost their records |
//! | [`release`] | the release of quarantined transactions |

pub mod carried;
pub mod failover_guard;
pub mod guard_view;
pub mod known_epoch;
pub mod observation;
pub mod operator;
mod possibly_lost;
pub mod release;

pub use failover_guard::{FailoverGuard, VERIFY_TIMEOUT};
pub use known_epoch::{GuardSettings, KnownEpoch};
pub use possibly_lost::{ListedTransaction, is_open};
