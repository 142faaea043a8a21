//! The verification that the store accepts writes.

use redb::{ReadableTable, WriteTransaction};

use super::{error::failure, store::RedbStore, tables::VERIFIED};
use crate::store::StoreError;

impl RedbStore {
    /// Verifies that the store accepts writes: a read may come from the cache of a damaged file.
    pub(super) async fn verify_write(&self) -> Result<(), StoreError> {
        self.write(|write| count_verification(write).map_err(failure))
            .await
    }
}

fn count_verification(write: &WriteTransaction) -> Result<(), redb::Error> {
    let mut verified = write.open_table(VERIFIED)?;
    let count = verified.get("count")?.map_or(0, |count| count.value());
    verified.insert("count", count.wrapping_add(1))?;
    Ok(())
}
