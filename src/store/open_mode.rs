//! The modes in which a store is opened.

use futures::future::BoxFuture;

use super::{contract::Store, error::StoreError};

/// Records in a store that it may have lost records.
pub type RecordLoss<'a> =
    &'a (dyn for<'s> Fn(&'s dyn Store) -> BoxFuture<'s, Result<(), StoreError>> + Send + Sync);

/// The mode in which a store is opened.
#[derive(Clone, Copy)]
pub enum OpenMode<'a> {
    /// Serve. Creates an embedded store that does not exist, unless `store.must_exist` is set;
    /// restores a backup beside it first.
    Serve {
        /// Called with a backup before it replaces the store.
        record_loss: RecordLoss<'a>,
    },
    /// Modify an existing store.
    Existing,
    /// Recover a store that lost records. Puts an embedded one into the epoch of the identity;
    /// creates it if it does not exist, to replace a store that is no longer usable.
    Lost,
    /// Inspect an existing store without writing: a write may hide a loss from running gateways.
    /// The identity is not adopted.
    Inspect,
    /// Copy an existing store to another. The identity is not adopted, and a mark of an earlier copy
    /// is no error.
    Source,
    /// Copy another store to this one, which is created if it does not exist. The identity is not
    /// adopted, and a mark of an earlier copy is no error. A new embedded store gets the epoch of the
    /// identity.
    Target,
}
