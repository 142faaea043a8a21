//! Bounded lists, by number in order of arrival.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::{error::failure, store::RedbStore, tables::LISTS};
use crate::store::{BoundedList, ItemTexts, LIST_MAX, StoreError};

impl RedbStore {
    /// Appends an item, and returns the removed ones.
    pub(super) async fn push_item(
        &self,
        list: BoundedList,
        item: &str,
    ) -> Result<Vec<String>, StoreError> {
        let item = self.codec.seal_item(list, item)?;
        let dropped = self.write(move |write| push(write, list, &item).map_err(failure));
        let dropped = dropped.await?;
        // Those that cannot be decrypted are gone all the same.
        let dropped = self.codec.open_items(list, dropped);
        Ok(dropped.into_iter().flatten().collect())
    }

    /// Reads the oldest item; one that cannot be decrypted as it is stored.
    pub(super) async fn read_oldest_item(
        &self,
        list: BoundedList,
    ) -> Result<Option<String>, StoreError> {
        let stored = self.read_stored_oldest(list).await?;
        let open = |stored: String| {
            let opened = self.codec.open_item(list, stored.clone());
            opened.unwrap_or(stored)
        };
        Ok(stored.map(open))
    }

    async fn read_stored_oldest(&self, list: BoundedList) -> Result<Option<String>, StoreError> {
        self.read(move |read| {
            let lists = read.open_table(LISTS).map_err(failure)?;
            let all = (list.name(), 0)..=(list.name(), u64::MAX);
            let oldest = lists.range(all).map_err(failure)?.next();
            let oldest = oldest.transpose().map_err(failure)?;
            Ok(oldest.map(|(_, item)| item.value().to_owned()))
        })
        .await
    }

    /// Removes the oldest item, if it is this one.
    pub(super) async fn pop_oldest(
        &self,
        list: BoundedList,
        item: &str,
    ) -> Result<bool, StoreError> {
        let stored = self.read_stored_oldest(list).await?;
        let opened = stored
            .clone()
            .map(|stored| self.codec.open_item(list, stored));
        match (stored, opened.transpose()?) {
            (Some(stored), Some(opened)) if opened == item => {
                self.write(move |write| pop(write, list, &stored).map_err(failure))
                    .await
            }
            _ => Ok(false),
        }
    }

    /// Reads items, newest first.
    pub(super) async fn read_items(
        &self,
        list: BoundedList,
        start: usize,
        limit: usize,
    ) -> Result<ItemTexts, StoreError> {
        let items = self.read(move |read| items(read, list, start, limit).map_err(failure));
        Ok(self.codec.open_items(list, items.await?))
    }
}

/// Appends an item, and returns the removed ones.
fn push(
    write: &WriteTransaction,
    list: BoundedList,
    item: &str,
) -> Result<Vec<String>, redb::Error> {
    let mut lists = write.open_table(LISTS)?;
    let all = || (list.name(), 0)..=(list.name(), u64::MAX);
    let oldest = lists.range(all())?.next().transpose()?;
    let oldest = oldest.map(|(key, _)| key.value().1);
    let newest = lists.range(all())?.next_back().transpose()?;
    let next = newest.map_or(0, |(key, _)| key.value().1 + 1);
    lists.insert((list.name(), next), item)?;
    let mut dropped = Vec::new();
    if let Some(oldest) = oldest
        && next - oldest >= LIST_MAX as u64
    {
        let item = lists.remove((list.name(), oldest))?;
        dropped.extend(item.map(|item| item.value().to_owned()));
    }
    Ok(dropped)
}

/// Removes the oldest item, if it is this one.
fn pop(write: &WriteTransaction, list: BoundedList, item: &str) -> Result<bool, redb::Error> {
    let mut lists = write.open_table(LISTS)?;
    let all = (list.name(), 0)..=(list.name(), u64::MAX);
    let oldest = lists.range(all)?.next().transpose()?;
    let oldest = oldest.filter(|(_, oldest)| oldest.value() == item);
    let Some(number) = oldest.map(|(key, _)| key.value().1) else {
        return Ok(false);
    };
    lists.remove((list.name(), number))?;
    Ok(true)
}

/// Reads items, newest first.
pub(super) fn items(
    read: &ReadTransaction,
    list: BoundedList,
    start: usize,
    limit: usize,
) -> Result<Vec<String>, redb::Error> {
    let lists = read.open_table(LISTS)?;
    let all = (list.name(), 0)..=(list.name(), u64::MAX);
    let newest = lists.range(all)?.next_back().transpose()?;
    // The numbers have no gaps: only the oldest item is ever removed.
    let first = newest.and_then(|(key, _)| key.value().1.checked_sub(start as u64));
    let Some(first) = first else {
        return Ok(Vec::new());
    };
    let wanted = lists.range((list.name(), 0)..=(list.name(), first))?;
    let mut items = Vec::new();
    for entry in wanted.rev().take(limit) {
        items.push(entry?.1.value().to_owned());
    }
    Ok(items)
}
