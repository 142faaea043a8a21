//! The events of one transaction, and of all.

use std::sync::Arc;

use crate::transaction::Transaction;

/// The events of one transaction after a revision.
#[derive(Debug, Clone)]
pub enum History {
    /// All of them, in order.
    Complete(Vec<Arc<Transaction>>),
    /// Some were trimmed.
    Trimmed,
}

/// The position of an event in its partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// The id of the event in the store, in two parts; zero in a store without such ids.
    pub id: (u64, u64),
    /// The number of the event in its partition, counted from 1. A gap in the
    /// numbers is a gap in the events.
    pub number: u64,
}

/// One change of one transaction, and its position among the changes of all.
#[derive(Debug, Clone)]
pub struct Event {
    /// The transaction after the change.
    pub transaction: Arc<Transaction>,
    /// The partition of the store that holds the event.
    pub partition: usize,
    /// Its position in the partition.
    pub position: Position,
}

/// The events of all transactions after a cursor.
#[derive(Debug, Clone)]
pub enum Events {
    /// The next events; empty when there are none.
    Next(Vec<Event>),
    /// Some were trimmed, or the cursor belongs to another epoch.
    OutOfRange,
}
