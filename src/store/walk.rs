//! Walks over everything that a store holds, page by page, for the commands of an operator.
//!
//! A page names what is stored; the contract of [`super::Store`] reads it. What is stored throughout a
//! walk is visited at least once; what is added or removed meanwhile may be.

use jiff::Timestamp;

use super::{
    error::StoreError,
    events::{Event, Position},
    listing::ListingEntry,
    record::Codec,
};
use crate::transaction::TransactionKey;

/// The kind of entries that a walk visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkPart {
    /// The records.
    Records,
    /// The entries of the listing.
    Listing,
    /// The entries of every due index.
    Due,
    /// The entries of trace codes.
    Traces,
    /// The notes, except the seals.
    Notes,
    /// The tombstones.
    Tombstones,
}

/// An entry that a walk visits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walked {
    /// A record.
    Record {
        /// The place of the record.
        place: String,
        /// Its key as stored.
        name: String,
    },
    /// An entry of the listing.
    Listed {
        /// The index.
        index: String,
        /// The state under which it is listed.
        state: String,
        /// The entry.
        entry: ListingEntry,
    },
    /// An entry of a due index.
    Due {
        /// The index.
        index: String,
        /// The transaction, by its key as stored.
        name: String,
    },
    /// An entry of a trace code.
    Trace {
        /// The place of the entry.
        place: String,
        /// The account and the trace code, joined by a colon.
        trace: String,
        /// The transaction, by its key as stored.
        name: String,
    },
    /// A note.
    Note {
        /// Its name.
        name: String,
        /// The time until which it is kept; `None` when it never expires.
        until: Option<Timestamp>,
    },
    /// A tombstone.
    Tombstone {
        /// The first 16 bytes of the SHA-256 of its reference code.
        hash: Vec<u8>,
        /// The tombstone as stored.
        text: String,
        /// It lies where claims look for it.
        is_reachable: bool,
    },
    /// An entry that cannot be read, by its place in the store.
    Malformed(String),
}

/// A page of a walk.
#[derive(Clone, Debug, Default)]
pub struct WalkPage {
    /// The entries.
    pub entries: Vec<Walked>,
    /// The place at which to continue; `None` at the end.
    pub next: Option<String>,
}

/// What follows a position among the events of a partition. Each position is the one to continue at.
#[derive(Clone, Debug)]
pub enum NextEvent {
    /// Nothing.
    None,
    /// An event.
    Event(Event),
    /// An event of a record that has ended, and took it along.
    Ended(Position),
    /// One or more events are missing, up to this position.
    Missing(Position),
    /// An event that cannot be read.
    Unreadable(Position, StoreError),
}

/// An event that was found, before it is decoded.
pub(super) struct FoundEvent {
    pub(super) partition: usize,
    pub(super) position: Position,
    pub(super) key: Result<TransactionKey, StoreError>,
    pub(super) body: Vec<u8>,
}

impl FoundEvent {
    /// Returns what follows the event of a number, if this is the next one that is stored.
    pub(super) fn after(self, number: u64, codec: &Codec) -> NextEvent {
        let (partition, position) = (self.partition, self.position);
        if position.number > number + 1 {
            let before = Position {
                number: position.number - 1,
                ..position
            };
            return NextEvent::Missing(before);
        }
        let decoded = self
            .key
            .and_then(|key| codec.decode_event(&key, &self.body));
        match decoded {
            Ok(transaction) => NextEvent::Event(Event {
                transaction,
                partition,
                position,
            }),
            Err(error) => NextEvent::Unreadable(position, error),
        }
    }
}

/// The entries of one transaction in the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntries {
    /// The listing has the entry of its state and time.
    pub is_listed: bool,
    /// The complete due index has an entry.
    pub is_due: bool,
}

/// The size of a part of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSize {
    /// The part: a table of an embedded store, or a kind of keys.
    pub name: String,
    /// The number of its entries.
    pub entries: u64,
    /// Its bytes; those of a sample, scaled, where `is_sampled`.
    pub bytes: u64,
    /// The bytes are those of a sample.
    pub is_sampled: bool,
    /// It grows with the records, and ends with them.
    pub is_of_records: bool,
}

/// The size of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSizes {
    /// The bytes of all tables, or of the memory that the servers use.
    pub total_bytes: u64,
    /// Its parts.
    pub parts: Vec<PartSize>,
}

/// The gateways that are seen at a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenGateways {
    /// The number of processes that are subscribed to changes.
    pub listeners: u64,
    /// The running gateways that have verified the store lately, by their random ids, with the time
    /// after which each counts as gone, in milliseconds.
    pub present: Vec<(String, u64)>,
}
