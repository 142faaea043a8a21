//! The durable record of every transaction, and the right to send.
//!
//! # The contract
//!
//! A store holds one compare-and-set register per transaction, and indexes over them. Every back
//! end obeys these rules; `tests/gateway/store/contract/` verifies them:
//!
//! 1. [`Store::commit`] stores a change if, and only if, the stored version is its base version,
//!    of the same attempt; for the first version, if nothing is stored. Record, event and due
//!    index are committed atomically (promise 13), and are durable, as far as the back end
//!    guarantees, when `commit` returns `Done`.
//! 2. An indeterminate error from `commit` means that the change may be stored now or later: read
//!    it back. After any other error it is not stored.
//! 3. [`Store::history`] returns every event after a revision, in order and without gaps, or
//!    reports that they were trimmed.
//! 4. [`Store::due`] returns the checks that are due and not leased. A lease ends by the commit
//!    that names it, or by expiry; no other commit makes the check due. It excludes other
//!    replicas from the check and never grants the right to send.
//! 5. A record that is not final is never deleted (promise 10), except NOT_SENT.
//!    [`Store::retire`] deletes a record with its entries in the listing and the due indexes, and
//!    stores its tombstone, atomically, if the stored version is the given one. From then on every
//!    `load`, `commit` and `history` of its key is [`StoreError::Retired`], the commit of a first
//!    version too, until [`Store::sweep_tombstones`] removes the tombstone.
//! 6. [`Store::events_after`] returns every event after a cursor, those of one transaction in
//!    order and without gaps, or reports that the cursor is out of range.
//! 7. A store has a replication epoch, which changes when committed records may be lost. A commit
//!    that names another epoch, or a seal that its partition does not carry, is rejected
//!    ([`epoch::parts_of`]).
//! 8. [`Store::put_note`] stores a note if, and only if, it holds what the caller read. Its errors
//!    mean the same as those of `commit`.
//! 9. [`Store::erase_events`] replaces the events of an erased transaction in place: what a reader
//!    sees at each position and revision stays, without personal data.
//!
//! # The right to send
//!
//! Only [`claim`] creates a [`SendPermit`]: when the store holds this call's own attempt token
//! (promises 1, 2, 9), in the epoch that its caller names, and never for a quarantined attempt.

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
mod maintenance;
mod notes;
mod notification;
mod open;
mod open_mode;
mod part_fault;
mod record;
pub mod redb;
pub mod redis;
mod settings;
mod tombstone;
mod tombstone_form;
pub mod unresolved;
mod walk;

pub use claim::{Claim, SendPermit, claim, claim_and_read};
pub use commit::Commit;
pub use contract::Store;
pub use cursor::{BadCursor, Cursor};
pub use due::{Due, DueCheck, Lease, Unindexed};
pub use error::StoreError;
pub use events::{Event, Events, History, Position};
pub use identity::{CopyMark, CopyRole, Identity, KnownAccounts, UserIdBefore, UserIdChange};
pub use key_list::KeyList;
pub use listing::{Listing, ListingEntry, OldestListing};
pub use notes::{
    BoundedList, CasResult, Expiry, ItemTexts, LIST_MAX, NoteTexts, SealedItem, mark_name,
};
pub(crate) use notification::LISTEN_AGAIN_AFTER;
pub use notification::{Notification, Wake};
pub use open::{OpenError, OpenedStore, open};
pub use open_mode::{OpenMode, RecordLoss};
pub use part_fault::PartFault;
pub use record::{BadKey, EncryptionKey, EncryptionKeys, SCHEMA, SCHEMA_BEFORE};
pub use settings::StoreSettings;
pub use tombstone::{RetiredState, Retirement, SweptTombstones, Tombstone, first_day_kept};
pub use tombstone_form::tombstone_fault;
pub use walk::{
    IndexEntries, NextEvent, PartSize, SeenGateways, StoreSizes, WalkPage, WalkPart, Walked,
};
