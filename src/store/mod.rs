//! The durable record of every transaction, and the right to send.
//!
//! # The contract
//!
//! A store is a compare-and-set register per transaction, around the pure fold, with a few
//! indexes. Both back ends keep to the rules below, and one suite
//! (`tests/gateway/store/contract/`) holds them to it:
//!
//! 1. [`Store::commit`] stores a change if, and only if, the stored version is the
//!    one it was made from, of the same attempt; for the first version, if nothing is
//!    stored. Record, event and due index change together or not at all (promise 13),
//!    and are durable when it returns `Done`, as far as the back end promises.
//! 2. An indeterminate `Err` from `commit` means that the change may be stored, now or later:
//!    read back. After any other `Err` it is not stored.
//! 3. [`Store::history`] returns every event after a revision, in order, none
//!    missing, or reports that it no longer can.
//! 4. [`Store::due`] returns what is due and not leased. Only the commit that names a
//!    lease, or its time, ends it: no other commit makes a leased check due. A lease keeps
//!    others from the same check for a while, and never concerns the right to send.
//! 5. Nothing that is not final ever disappears (promise 10).
//! 6. [`Store::events_after`] returns every event after a cursor, the events of one
//!    transaction in order and none missing, or reports that it no longer can.
//! 7. A store has a replication epoch. It gets another one when what was stored before
//!    may be lost; a commit that names an epoch is refused in any other. A commit that names
//!    a seal as well ([`epoch::parts_of`]) is refused when its part of the store does not bear
//!    that seal.
//! 8. [`Store::put_note`] stores a note if, and only if, it holds what the caller saw. An
//!    `Err` means the same as for `commit`.
//!
//! # The right to send
//!
//! [`claim`] is the only place that makes a [`SendPermit`]. It makes one only when the store
//! holds this call's own attempt token (promises 1, 2, 9), in the epoch that its caller knows,
//! and never for a quarantined attempt.

mod claim;
mod commit;
mod contract;
mod cursor;
mod due;
pub mod epoch;
mod error;
mod events;
mod identity;
pub(crate) mod key;
mod key_list;
mod listing;
mod notes;
mod notification;
mod open;
mod open_mode;
mod record;
pub mod redb;
pub mod redis;
mod settings;
pub mod unresolved;

pub use claim::{Claim, SendPermit, claim};
pub use commit::Commit;
pub use contract::Store;
pub use cursor::{BadCursor, Cursor};
pub use due::{Due, DueCheck, Lease, Unindexed};
pub use error::StoreError;
pub use events::{Event, Events, History, Position};
pub use identity::{Identity, KnownAccounts, UserIdBefore, UserIdChange};
pub use key_list::KeyList;
pub use listing::{Listing, ListingEntry};
pub use notes::{BoundedList, CasResult, Expiry, LIST_MAX};
pub(crate) use notification::LISTEN_AGAIN_AFTER;
pub use notification::{Notification, Wake};
pub use open::{OpenError, OpenedStore, open};
pub use open_mode::{OpenMode, RecordLoss};
pub use settings::StoreSettings;
