//! The purposes for which a store is opened.

use futures::future::BoxFuture;

use super::{contract::Store, error::StoreError};

/// Records in a store that it may have lost records.
pub type RecordLoss<'a> =
    &'a (dyn for<'s> Fn(&'s dyn Store) -> BoxFuture<'s, Result<(), StoreError>> + Send + Sync);

/// The purpose for which a store is opened.
#[derive(Clone, Copy)]
pub enum OpenMode<'a> {
    /// To serve. An embedded store is made when there is none, unless it must exist; a backup
    /// that lies beside it takes its place first.
    Serve {
        /// Called with a backup before it takes the place of the store.
        record_loss: RecordLoss<'a>,
    },
    /// To change a store that exists.
    Existing,
    /// To change a store that lost records. An embedded one gets the epoch of the identity, and
    /// is made when there is none: in the place of one that cannot be used any more.
    Lost,
    /// To look at a store that exists, without writing anything: what opening a store writes
    /// may hide a loss from the gateways that run. The identity is not adopted.
    Inspect,
}
