//! The embedded store: one file, used by one process, with every commit on disk before it returns.
//! For development, tests and installations of one replica.
//!
//! # Tables
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `records` | reference | the record, from schema 4 on with the number of its last event (`stored_record.rs`) |
//! | `segments` | number of its first event, from 1 | some events (`segments.rs`) |
//! | `events` | reference, revision | schema 3: the record as of that revision |
//! | `log` | number of the event, from 1 | schema 3: reference, revision |
//! | `due`, `due_of` | due time and reference; reference | nothing; due time |
//! | `due_by_account`, `due_by_account_of` | account, kind, time, reference; reference | nothing; account, due, requested |
//! | `listing` | state, accepted, reference | nothing |
//! | `traces` | `account:trace code` | reference |
//! | `notes`, `notes_end` | name; expiry and name | text and expiry; nothing |
//! | `lists` | list, number in order of arrival | item |
//! | `tombstones` | 16 bytes of the hash of a reference | the tombstone |
//! | `identity` | fact | value; the fact `epoch` is the replication epoch |
//! | `verified` | `count` | the number of verifications |
//! | `zeros` | number | zeros, while `store erase` overwrites free pages (`overwriting.rs`) |
//!
//! Leases are not stored: the only process holds them in memory.
//!
//! # Updates
//!
//! redb has one writer at a time, and a write transaction is atomic and synced when it is
//! committed. One transaction holds all of each of these writes:
//!
//! - a commit: the comparison of seal, version and attempt token, the record, its event and the
//!   event's number, its entry in the listing and its due indexes (`commit.rs`);
//! - the retirement of a record: the comparison, the removal of the record, its events and its
//!   entries, and its tombstone (`tombstones.rs`);
//! - a compare-and-set of a note, with the removal of some notes that expired (`notes.rs`);
//! - an item of a list, with the removal of the oldest one (`bounded_lists.rs`);
//! - a change of the identity, all facts or none (`identity.rs`).
//!
//! # Group commit
//!
//! A sync takes far longer than a write, so the writes that wait for the writer share its next
//! transaction (`group_commit.rs`):
//!
//! - Each caller is answered after the sync of the transaction that holds its write.
//! - Writes run one after the other, in the order of arrival; each sees those before it. A
//!   transaction holds what waits when it begins, bounded in number and bytes, so no write waits for
//!   later ones, and a lone write is committed at once.
//! - A transaction is committed only if all its writes succeed. A write that fails or panics is
//!   answered with its own failure, and the other writes run again without it. A write may therefore
//!   run twice, but only once in a transaction that is committed.
//! - If a commit fails, its result is indeterminate for every write in it.
//!
//! # Time-outs
//!
//! A call that blocks in the file system cannot be aborted: when it times out, its thread
//! continues. A write that times out while it waits for its turn, which is the begin of its
//! transaction, never runs: that is a determinate failure. A write that times out later has an
//! indeterminate result, with every other write of its transaction that times out.
//!
//! SUBTLE: the read-back of such a write must not overtake it:
//!
//! 1. a claim's commit hangs in `fsync` and times out: an indeterminate result;
//! 2. the read-back finds nothing, and the gateway treats the claim as not stored;
//! 3. the commit succeeds: a stored claim is never abandoned.
//!
//! So every read that begins after step 1 waits for the end of that write's transaction, or fails as
//! well.
//!
//! # What survives a crash
//!
//! Everything that was committed, if the disk keeps what it synced. A transaction that was not
//! committed leaves nothing. Leases end with the process, so their checks are due at once. After
//! an I/O error the database is reopened (`keeper.rs`), except after a failed sync: then the
//! contents of the disk are uncertain, and the gateway must be restarted.
//!
//! A store is created atomically (`create.rs`), so an existing file is never mistaken for a new
//! store.
//!
//! # What a lost disk loses
//!
//! Everything since the last backup. An operator restores a backup by placing it beside the store
//! as `<file>.restore` (`restore.rs`). The failover guard is on before the backup replaces the
//! store, and the backup gets a new replication epoch, so claims that name the former epoch are
//! rejected and its cursors are out of range. A path that is empty because a volume is not
//! mounted is indistinguishable from a first start, unless `store.must_exist` is set.

mod bounded_lists;
mod commit;
mod create;
mod due;
mod erasure;
mod error;
mod events;
mod file;
mod group_commit;
mod identity;
mod inspection;
mod keeper;
mod leases;
mod listing;
mod monitored_file;
mod next_event;
mod notes;
mod open;
mod overwriting;
mod read_only;
mod records;
mod restore;
mod segments;
mod settings;
mod source;
mod store;
mod store_impl;
mod stored_record;
mod tables;
mod tombstones;
mod trimming;
mod varint;
mod verify;
mod walk;

#[cfg(test)]
mod tests;

pub use settings::RedbSettings;
pub use store::RedbStore;
