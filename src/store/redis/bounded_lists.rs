//! Bounded lists, newest first.

use redis::{Cmd, Value};

use super::store::RedisStore;
use crate::store::{BoundedList, LIST_MAX, StoreError};

impl RedisStore {
    /// Appends an item, and returns the removed ones.
    pub(super) async fn push_item(
        &self,
        list: BoundedList,
        item: &str,
    ) -> Result<Vec<String>, StoreError> {
        let key = list_key(list);
        let mut pipeline = redis::pipe();
        pipeline
            .atomic()
            .lpush(&key, item)
            .lrange(&key, list_index(LIST_MAX), -1)
            .ltrim(&key, 0, list_index(LIST_MAX) - 1);
        let (_, dropped, _): (Value, Vec<String>, Value) =
            self.query_atomically(&key, &pipeline).await?;
        Ok(dropped)
    }

    /// Reads the oldest item.
    pub(super) async fn read_oldest_item(
        &self,
        list: BoundedList,
    ) -> Result<Option<String>, StoreError> {
        self.query(&Cmd::lindex(list_key(list), -1)).await
    }

    /// Removes the oldest item, if it is this one.
    pub(super) async fn pop_oldest(
        &self,
        list: BoundedList,
        item: &str,
    ) -> Result<bool, StoreError> {
        let mut call = self.scripts.remove_oldest.key(list_key(list));
        call.arg(item);
        self.invoke(&call).await
    }

    /// Reads items, newest first.
    pub(super) async fn read_items(
        &self,
        list: BoundedList,
        start: usize,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        // A range of Redis includes its end, so it is never empty.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let end = list_index(start.saturating_add(limit)) - 1;
        let range = Cmd::lrange(list_key(list), list_index(start), end);
        self.query(&range).await
    }
}

fn list_key(list: BoundedList) -> String {
    format!("okb:{}", list.name())
}

/// Converts an index of a list; one that exceeds the range of Redis is beyond its end.
fn list_index(index: usize) -> isize {
    isize::try_from(index).unwrap_or(isize::MAX)
}
