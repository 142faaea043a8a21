//! Walks over the tables.

use std::ops::Bound::{Excluded, Unbounded};

use jiff::Timestamp;
use redb::ReadTransaction;

use super::{
    error::failure,
    notes::SEAL,
    store::RedbStore,
    tables::{DUE, INDEXED, LISTING, NOTES, RECORDS, TOMBSTONES, TRACES, open_if_there},
};
use crate::store::{ListingEntry, StoreError, WalkPage, WalkPart, Walked};

/// The number of entries in a page.
const PAGE: usize = 512;
/// Before the places in the index of accounts, which is walked after the complete one.
const OF_ACCOUNTS: &str = "accounts ";

impl RedbStore {
    /// Reads a page of a walk.
    pub(in crate::store) async fn read_walk(
        &self,
        part: WalkPart,
        from: Option<&str>,
    ) -> Result<WalkPage, StoreError> {
        let from = from.map(str::to_owned);
        self.read(move |read| match part {
            WalkPart::Records => records(read, from.as_deref()),
            WalkPart::Listing => listing(read, from.as_deref()),
            WalkPart::Due => due(read, from.as_deref()),
            WalkPart::Traces => traces(read, from.as_deref()),
            WalkPart::Notes => notes(read, from.as_deref()),
            WalkPart::Tombstones => tombstones(read, from.as_deref()),
        })
        .await
    }
}

/// Builds a page of entries and their places.
fn page(
    found: impl Iterator<Item = Result<(Walked, String), redb::StorageError>>,
) -> Result<WalkPage, StoreError> {
    let mut page = WalkPage::default();
    for entry in found.take(PAGE) {
        let (entry, place) = entry.map_err(failure)?;
        page.entries.push(entry);
        page.next = Some(place);
    }
    if page.entries.len() < PAGE {
        page.next = None;
    }
    Ok(page)
}

/// Encodes the key of an entry as a place.
fn place(key: impl serde::Serialize) -> String {
    serde_json::to_string(&key).unwrap_or_default()
}

/// Decodes a place.
fn key_at<T: serde::de::DeserializeOwned>(place: &str) -> Result<T, StoreError> {
    let unknown = |_| StoreError::Unsuitable(format!("{place:?} is no place of a walk"));
    serde_json::from_str(place).map_err(unknown)
}

fn records(read: &ReadTransaction, from: Option<&str>) -> Result<WalkPage, StoreError> {
    let Some(table) = open_if_there(read, RECORDS)? else {
        return Ok(WalkPage::default());
    };
    let range = table.range::<&str>((from.map_or(Unbounded, Excluded), Unbounded));
    page(range.map_err(failure)?.map(|entry| {
        let name = entry?.0.value().to_owned();
        let walked = Walked::Record {
            place: name.clone(),
            name: name.clone(),
        };
        Ok((walked, name))
    }))
}

fn listing(read: &ReadTransaction, from: Option<&str>) -> Result<WalkPage, StoreError> {
    let Some(table) = open_if_there(read, LISTING)? else {
        return Ok(WalkPage::default());
    };
    let from: Option<(String, i64, String)> = from.map(key_at).transpose()?;
    let from = from.as_ref().map_or(Unbounded, |(state, ms, name)| {
        Excluded((state.as_str(), *ms, name.as_str()))
    });
    let range = table.range::<(&str, i64, &str)>((from, Unbounded));
    page(range.map_err(failure)?.map(|entry| {
        let (key, _) = entry?;
        let (state, created_ms, name) = key.value();
        let entry = ListingEntry {
            created_ms,
            name: name.to_owned(),
        };
        let state = state.to_owned();
        let index = "the listing".to_owned();
        let walked = Walked::Listed {
            index,
            state,
            entry,
        };
        Ok((walked, place(key.value())))
    }))
}

fn due(read: &ReadTransaction, from: Option<&str>) -> Result<WalkPage, StoreError> {
    let of_accounts = from.and_then(|from| from.strip_prefix(OF_ACCOUNTS));
    if of_accounts.is_none() {
        let mut found = due_of_all(read, from)?;
        found.next = found.next.or_else(|| Some(OF_ACCOUNTS.to_owned()));
        return Ok(found);
    }
    let Some(table) = open_if_there(read, INDEXED)? else {
        return Ok(WalkPage::default());
    };
    let from = of_accounts.filter(|from| !from.is_empty());
    let from: Option<(String, u8, i64, String)> = from.map(key_at).transpose()?;
    let from = from
        .as_ref()
        .map_or(Unbounded, |(account, kind, at, name)| {
            Excluded((account.as_str(), *kind, *at, name.as_str()))
        });
    let range = table.range::<(&str, u8, i64, &str)>((from, Unbounded));
    page(range.map_err(failure)?.map(|entry| {
        let (key, ()) = {
            let (key, _) = entry?;
            (key, ())
        };
        let (account, _, _, name) = key.value();
        let walked = Walked::Due {
            index: format!("the due index of account {account}"),
            name: name.to_owned(),
        };
        Ok((walked, format!("{OF_ACCOUNTS}{}", place(key.value()))))
    }))
}

fn due_of_all(read: &ReadTransaction, from: Option<&str>) -> Result<WalkPage, StoreError> {
    let Some(table) = open_if_there(read, DUE)? else {
        return Ok(WalkPage::default());
    };
    let from: Option<(i64, String)> = from.map(key_at).transpose()?;
    let from = from
        .as_ref()
        .map_or(Unbounded, |(at, name)| Excluded((*at, name.as_str())));
    let range = table.range::<(i64, &str)>((from, Unbounded));
    page(range.map_err(failure)?.map(|entry| {
        let (key, _) = entry?;
        let walked = Walked::Due {
            index: "the due index".to_owned(),
            name: key.value().1.to_owned(),
        };
        Ok((walked, place(key.value())))
    }))
}

fn traces(read: &ReadTransaction, from: Option<&str>) -> Result<WalkPage, StoreError> {
    let Some(table) = open_if_there(read, TRACES)? else {
        return Ok(WalkPage::default());
    };
    let range = table.range::<&str>((from.map_or(Unbounded, Excluded), Unbounded));
    page(range.map_err(failure)?.map(|entry| {
        let (trace, name) = entry?;
        let trace = trace.value().to_owned();
        let name = name.value().to_owned();
        let walked = Walked::Trace {
            place: trace.clone(),
            trace: trace.clone(),
            name,
        };
        Ok((walked, trace))
    }))
}

fn notes(read: &ReadTransaction, from: Option<&str>) -> Result<WalkPage, StoreError> {
    let Some(table) = open_if_there(read, NOTES)? else {
        return Ok(WalkPage::default());
    };
    let range = table.range::<&str>((from.map_or(Unbounded, Excluded), Unbounded));
    let mut found = page(range.map_err(failure)?.map(|entry| {
        let (name, note) = entry?;
        let name = name.value().to_owned();
        let walked = Walked::Note {
            name: name.clone(),
            until: Timestamp::from_millisecond(note.value().1).ok(),
        };
        Ok((walked, name))
    }))?;
    found
        .entries
        .retain(|entry| !matches!(entry, Walked::Note { name, .. } if name == SEAL));
    Ok(found)
}

fn tombstones(read: &ReadTransaction, from: Option<&str>) -> Result<WalkPage, StoreError> {
    let Some(table) = open_if_there(read, TOMBSTONES)? else {
        return Ok(WalkPage::default());
    };
    let from = from.and_then(|from| hex::decode(from).ok());
    let range = table.range::<&[u8]>((from.as_deref().map_or(Unbounded, Excluded), Unbounded));
    page(range.map_err(failure)?.map(|entry| {
        let (hash, text) = entry?;
        let hash = hash.value().to_vec();
        let next = hex::encode(&hash);
        let text = text.value().to_owned();
        let walked = Walked::Tombstone {
            hash,
            text,
            is_reachable: true,
        };
        Ok((walked, next))
    }))
}
