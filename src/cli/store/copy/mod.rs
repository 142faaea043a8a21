//! `store copy`: moves everything to another store.
//!
//! ```text
//!      source                              target
//! 1.   no gateway is seen                  no gateway is seen, and it is empty
//! 2.   marked `moving`, seals replaced
//! 3.                                       marked `copying`, accounts
//! 4.   records, trace codes, notes, lists, tombstones -->
//! 5.   compared                            compared
//! 6.   state of the failover guard -->     new epoch, new seals
//! 7.   marked `moved`
//! 8.                                       mark removed
//! ```
//!
//! Every step is idempotent, and a run after an interruption takes all of them again: what is copied
//! already is only compared. From step 2 on no gateway uses the source, and until step 8 none uses the
//! target, so at no moment do two stores accept claims.
//!
//! SUBTLE: no check finds a gateway that is cut off or frozen in step 1. Claims name the seal:
//! 1. gateway G is frozen before a claim; 2. the copy replaces the seals; 3. the copy reads the
//!    records; 4. G claims, and the source rejects it.
//!
//! A claim of G that comes before (2) is copied in (3). G cannot restore the seals either: it refuses
//! to observe a store whose seals name another store (`store/epoch.rs`).
//!
//! Events are not copied. The cursors of the source name another epoch, so they are out of range in
//! the target, and the history of a transaction begins with its next change.

mod comparison;
mod data;
mod gateways;
mod progress;
mod steps;

pub(super) use data::count_records;
pub(super) use progress::Progress;
pub(super) use steps::{CopyArguments, run};
