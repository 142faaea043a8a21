//! Pages of the lists of notices and orphans, newest first.
//!
//! The items of a list have no numbers that every store keeps. So a position names the item before
//! it, by a hash of its stored text, and the page continues after that item, wherever it is by then:
//! items that arrive move it towards the end, and an eviction removes it only together with every
//! item after it.

use std::fmt;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::item::from_json;
use crate::{
    store::{BoundedList, ItemTexts, LIST_MAX, SealedItem, Store, StoreError},
    transaction::AccountName,
};

/// The most items that one page passes when most are not wanted.
const PASSED_MAX: usize = 400;
/// The items of each further read of a page, when the first one did not fill it.
const READ_SIZE: usize = 100;

/// An item of a list.
pub trait ListItem: DeserializeOwned {
    /// The list that holds the item.
    const LIST: BoundedList;
    /// Returns the account that received it.
    fn account(&self) -> &AccountName;
}

/// A position in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPosition {
    /// The number of items before it when it was made. By now there may be more, or fewer in a
    /// store that lost items.
    pub passed: usize,
    /// The item before it. `None` at the start, and in the positions of earlier releases.
    pub anchor: Option<Anchor>,
}

/// The item before a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    hash: String,
}

/// One page of a list.
#[derive(Debug)]
pub struct ListPage<T> {
    /// The wanted items, newest first.
    pub items: Vec<T>,
    /// The position of the next page; `None` at the end.
    pub next: Option<ListPosition>,
}

/// The error of a page that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store lost the item before the page, and older items may remain.
    #[error("the store lost the item before the page")]
    Lost,
}

/// Reads up to `size` wanted items after a position. A page with fewer items may have a next one.
/// Skips items that cannot be read, such as those whose key of encryption is not configured.
///
/// # Errors
/// [`PageError`] when the store does not answer, or lost the item before the position.
pub async fn read_page<T: ListItem>(
    store: &dyn Store,
    after: ListPosition,
    size: usize,
    is_wanted: impl Fn(&T) -> bool,
) -> Result<ListPage<T>, PageError> {
    let mut reader = ListReader {
        store,
        list: T::LIST,
        position: after,
    };
    let (mut items, mut passed) = (Vec::new(), 0);
    let mut unreadable = UnreadableItems::default();
    // One extra item shows that there is another page.
    let mut limit = size.saturating_add(1);
    loop {
        let window = reader.read(limit).await?;
        limit = READ_SIZE;
        for item in window.items {
            if items.len() == size || passed == PASSED_MAX {
                let next = Some(reader.position);
                unreadable.report(T::LIST);
                return Ok(ListPage { items, next });
            }
            if reader.is_anchor(&item) {
                // A push with an indeterminate result was repeated: one item, stored twice.
                reader.position.passed += 1;
                continue;
            }
            reader.pass(&item);
            passed += 1;
            let opened = item.map_err(|sealed| sealed.error);
            match opened.and_then(|text| from_json(&text)) {
                Ok(item) => items.extend(Some(item).filter(&is_wanted)),
                Err(error) => unreadable.add(error),
            }
        }
        if window.is_last {
            unreadable.report(T::LIST);
            return Ok(ListPage { items, next: None });
        }
    }
}

/// The items of a page that cannot be read.
#[derive(Default)]
struct UnreadableItems {
    count: usize,
    first: Option<StoreError>,
}

impl UnreadableItems {
    fn add(&mut self, error: StoreError) {
        self.count += 1;
        self.first.get_or_insert(error);
    }

    fn report(&self, list: BoundedList) {
        if let Some(error) = &self.first {
            warn!(?list, skipped = self.count, %error, "unreadable items are not listed");
        }
    }
}

/// The next items of a list, as stored.
struct Window {
    items: ItemTexts,
    /// The list ends with these.
    is_last: bool,
}

/// A reader of one list. It finds its place anew for each read, because items arrive in between.
struct ListReader<'a> {
    store: &'a dyn Store,
    list: BoundedList,
    position: ListPosition,
}

impl ListReader<'_> {
    /// Reads about `limit` items after the position.
    async fn read(&mut self, limit: usize) -> Result<Window, PageError> {
        if self.position.anchor.is_none() {
            let items = self.items(self.position.passed, limit).await?;
            let is_last = items.len() < limit;
            return Ok(Window { items, is_last });
        }
        // The anchor was the last one passed, and can only be further back.
        let expected = self.position.passed.saturating_sub(1);
        if let Some(window) = self.find(expected, limit).await? {
            return Ok(window);
        }
        // A store that lost its newest items has the anchor further to the front.
        if let Some(window) = self.find(0, limit).await? {
            return Ok(window);
        }
        // Only a full list evicts items, the oldest first: the anchor was the last to go. The times of
        // arrival cannot show it, because they come from the clocks of several gateways.
        match self.items(0, LIST_MAX).await?.len() {
            0 | LIST_MAX.. => Ok(Window::END),
            _ => Err(PageError::Lost),
        }
    }

    /// Finds the anchor at `start` or after it, and returns the items after it.
    async fn find(&mut self, mut start: usize, limit: usize) -> Result<Option<Window>, StoreError> {
        let mut limit = limit + 1;
        loop {
            let mut items = self.items(start, limit).await?;
            let is_last = items.len() < limit;
            if let Some(at) = items.iter().position(|item| self.is_anchor(item)) {
                self.position.passed = start + at + 1;
                let items = items.split_off(at + 1);
                return Ok(Some(Window { items, is_last }));
            }
            if is_last {
                return Ok(None);
            }
            start += limit;
            limit = READ_SIZE;
        }
    }

    async fn items(&self, start: usize, limit: usize) -> Result<ItemTexts, StoreError> {
        self.store.items_from(self.list, start, limit).await
    }

    fn is_anchor(&self, item: &Result<String, SealedItem>) -> bool {
        let anchor = self.position.anchor.as_ref();
        anchor.is_some_and(|anchor| anchor.hash == hash_of(item))
    }

    /// Moves the position after an item.
    fn pass(&mut self, item: &Result<String, SealedItem>) {
        self.position.passed += 1;
        self.position.anchor = Some(Anchor {
            hash: hash_of(item),
        });
    }
}

impl Window {
    const END: Self = Self {
        items: Vec::new(),
        is_last: true,
    };
}

/// The hexadecimal digits of the hash of an item.
const HASH_DIGITS: usize = 16;

/// Returns the hash of an item, or of its encrypted text if it cannot be decrypted. Neither changes.
fn hash_of(item: &Result<String, SealedItem>) -> String {
    let text = match item {
        Ok(text) => text,
        Err(sealed) => &sealed.stored,
    };
    hex::encode(&Sha256::digest(text)[..HASH_DIGITS / 2])
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hash)
    }
}

impl Anchor {
    /// Parses the text that `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hash = text.len() == HASH_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash.then(|| Self {
            hash: text.to_owned(),
        })
    }
}
