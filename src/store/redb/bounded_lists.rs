//! Bounded lists, by number in order of arrival.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::{error::failure, store::RedbStore, tables::LISTS};
use crate::store::{BoundedList, LIST_MAX, StoreError};

impl RedbStore {
    /// Appends an item, and returns the removed ones.
    pub(super) async fn push_item(
        &self,
        list: BoundedList,
        item: &str,
    ) -> Result<Vec<String>, StoreError> {
        let item = item.to_owned();
        self.write(move |write| push(write, list, &item).map_err(failure))
            .await
    }

    /// Reads items, newest first.
    pub(super) async fn read_items(
        &self,
        list: BoundedList,
        start: usize,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.read(move |read| items(read, list, start, limit).map_err(failure))
            .await
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
