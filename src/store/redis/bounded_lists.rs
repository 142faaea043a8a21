//! Bounded lists, newest first.

use redis::Cmd;

use super::{keys::seal_key, store::RedisStore};
use crate::store::{
    BoundedList, ItemTexts, LIST_MAX, StoreError,
    epoch::{Seal, refuse_moved},
};

impl RedisStore {
    /// Appends an item, and returns the removed ones.
    pub(super) async fn push_item(
        &self,
        list: BoundedList,
        item: &str,
    ) -> Result<Vec<String>, StoreError> {
        let mut call = self.scripts.push_item.key(list_key(list));
        call.arg(self.codec.seal_item(list, item)?).arg(LIST_MAX);
        let dropped: Vec<String> = self.invoke(&call).await?;
        // SUBTLE: a list has no seal in its slot, so a seal is read after the write: 1. we push an item;
        // 2. we read a seal. A copy that replaced the seals before (2) is seen, and one that replaces
        // them later reads the list after (1).
        let seal: Option<String> = self.query(&Cmd::get(seal_key(0))).await?;
        refuse_moved(&[seal.map_or(Seal::Missing, Seal::Carried)])
            .map_err(|error| StoreError::Indeterminate(error.to_string()))?;
        // The item is stored. Those that cannot be decrypted are gone all the same.
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
        self.query(&Cmd::lindex(list_key(list), -1)).await
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
                let mut call = self.scripts.remove_oldest.key(list_key(list));
                call.arg(stored);
                self.invoke(&call).await
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
        // A range of Redis includes its end, so it is never empty.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let end = list_index(start.saturating_add(limit)) - 1;
        let range = Cmd::lrange(list_key(list), list_index(start), end);
        let items = self.query(&range).await?;
        Ok(self.codec.open_items(list, items))
    }
}

fn list_key(list: BoundedList) -> String {
    format!("okb:{}", list.name())
}

/// Converts an index of a list; one that exceeds the range of Redis is beyond its end.
fn list_index(index: usize) -> isize {
    isize::try_from(index).unwrap_or(isize::MAX)
}
