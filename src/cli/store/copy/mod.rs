//! `store copy`: moves everything to another store.
//!
//! ```text
//!      source                              target
//! 1.   no gateway is seen                  no gateway is seen, and it is empty
//! 2.   marked `moving`, seals replaced
//! 3.                                       marked `copying`, accounts
//! 4.   state of the failover guard -->     new note of its epoch, new seals
//! 5.   records, trace codes, notes, lists, tombstones -->
//! 6.   compared                            compared
//! 7.   lost nothing since 2                lost nothing since 4
//! 8.   marked `moved`
//! 9.                                       lost nothing since 4; mark removed
//! ```
//!
//! Every step is idempotent, and a run after an interruption takes all of them again: what is copied
//! already is only compared, and never replaced. From step 2 on no gateway uses the source, and until
//! step 9 none uses the target, so at no moment do two stores accept claims.
//!
//! After 2 and after 8 in the source, and before 8 in the target, as many replicas must have
//! everything as a claim waits for: a promoted one that lacks the mark would accept claims.
//!
//! A source that is marked `moved` stays complete. Where its target is not whole any more, it is copied
//! again, with the guard on: gateways may have used the target before.
//!
//! SUBTLE: no check finds a gateway that is cut off or frozen in step 1. Claims name the seal:
//! 1. gateway G is frozen before a claim; 2. the copy replaces the seals; 3. the copy reads the
//!    records; 4. G claims, and the source rejects it.
//!
//! A claim of G that comes before (2) is copied in (3). G cannot restore the seals either: it refuses
//! to observe a store whose seals name another store (`store/epoch.rs`). Its notes and list items are
//! rejected like its commits.
//!
//! SUBTLE: nor does a check find a copy that is frozen. What it does when it continues is harmless: its
//! commits name the seal of step 4, which another run replaces (`transfer.rs`), and after it replaced
//! seals it verifies that the source still has its mark (`steps.rs`).
//!
//! Events are not copied. The cursors of the source name another epoch, so they are out of range in
//! the target, and the history of a transaction begins with its next change.

mod cancellation;
mod comparison;
mod gateways;
mod progress;
mod records;
mod remains;
mod report;
mod steps;
mod transfer;

#[cfg(test)]
mod tests;

pub(super) use progress::Progress;
pub(super) use records::count_records;
pub(super) use steps::{CopyArguments, run};
