//! A look at a store that writes nothing: not even what opening it would.

use std::path::Path;

use redb::{DatabaseError, ReadOnlyDatabase, ReadableDatabase};

use super::{
    error::failure,
    lists, notes,
    store::{RedbStore, blocking},
    tables::IDENTITY,
};
use crate::store::{
    BoundedList, LIST_MAX, StoreError,
    guard::{self, Ending, Shown},
};

impl RedbStore {
    /// Shows the failover guard of the store in `file`, and why it was ended, newest
    /// first.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when another process has it open, or it is no store.
    pub async fn look(file: &Path) -> Result<(Shown, Vec<Ending>), StoreError> {
        let file = file.to_owned();
        blocking(move || {
            let opened = ReadOnlyDatabase::open(&file).map_err(|error| {
                let remedy = match error {
                    DatabaseError::RepairAborted => {
                        "; it was not closed in order: start a gateway, which repairs it"
                    }
                    _ => "",
                };
                StoreError::Unsuitable(format!("{}: {error}{remedy}", file.display()))
            })?;
            let read = opened.begin_read().map_err(failure)?;
            let identity = read.open_table(IDENTITY).map_err(failure)?;
            let epoch = identity.get("epoch").map_err(failure)?;
            let epoch = epoch.map(|epoch| epoch.value().to_owned());
            let note = notes::read(&read, guard::NOTE).map_err(failure)?;
            let seal = notes::read(&read, notes::SEAL).map_err(failure)?;
            let shown = guard::shown(note, vec![seal], epoch.unwrap_or_default())?;
            let items =
                lists::items(&read, BoundedList::GuardEndings, 0, LIST_MAX).map_err(failure)?;
            let endings = items.iter().map(|item| guard::ending(item));
            Ok((shown, endings.collect::<Result<_, _>>()?))
        })
        .await
    }
}
