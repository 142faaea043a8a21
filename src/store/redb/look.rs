//! A look at a store that writes nothing: not even what opening it would.

use std::path::Path;

use redb::{DatabaseError, ReadOnlyDatabase, ReadableDatabase};

use super::{IDENTITY, RedbStore, blocking, notes, unavailable};
use crate::store::{
    LIST_MAX, List, StoreError,
    guard::{self, Ending, GuardView},
};

impl RedbStore {
    /// Shows the failover guard of the store in `file`, and why it was ended, newest
    /// first.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] when another process has it open, or it is no store.
    pub async fn look(file: &Path) -> Result<(GuardView, Vec<Ending>), StoreError> {
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
            let read = opened.begin_read().map_err(unavailable)?;
            let identity = read.open_table(IDENTITY).map_err(unavailable)?;
            let epoch = identity.get("epoch").map_err(unavailable)?;
            let epoch = epoch.map(|epoch| epoch.value().to_owned());
            let note = notes::read(&read, guard::NOTE).map_err(unavailable)?;
            let seal = notes::read(&read, notes::SEAL).map_err(unavailable)?;
            let view = guard::view_of_parts(note, vec![seal], epoch.unwrap_or_default())?;
            let items =
                notes::items(&read, List::GuardEndings, 0, LIST_MAX).map_err(unavailable)?;
            let endings = items.iter().map(|item| guard::parse_ending(item));
            Ok((view, endings.collect::<Result<_, _>>()?))
        })
        .await
    }
}
