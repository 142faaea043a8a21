//! Due checks: all of them in `DUE`, which an earlier release writes too, and by account in
//! `INDEXED`.

use std::{ops::Range, sync::Arc};

use jiff::Timestamp;
use redb::{ReadTransaction, WriteTransaction};

use super::{
    error::failure,
    leases::Leases,
    store::RedbStore,
    tables::{DUE, DUE_OF, INDEXED, INDEXED_OF},
};
use crate::{
    store::{Due, DueCheck, StoreError, Unindexed, key::parse_key},
    transaction::{AccountName, Transaction},
};

/// The kinds of entries: all due checks, and the requested ones.
const EVERY: u8 = 0;
const ASKED: u8 = 1;

/// The maximum number of checks that are counted for each account.
const COUNT_MAX: usize = 4096;
/// The entries in a page of [`unindexed`].
const PAGE: usize = 1024;

impl RedbStore {
    /// Reads the due checks of some accounts.
    pub(super) async fn read_due(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        limit: usize,
    ) -> Result<Due, StoreError> {
        let (accounts, leases) = (accounts.to_vec(), Arc::clone(&self.leases));
        self.read(move |read| due(read, &leases, now, &accounts, limit))
            .await
    }

    /// Reads a page of due transactions that are missing from the indexes of some accounts.
    pub(super) async fn read_unindexed(
        &self,
        now: Timestamp,
        accounts: &[AccountName],
        page: usize,
    ) -> Result<Unindexed, StoreError> {
        let accounts = accounts.to_vec();
        self.read(move |read| unindexed(read, now, &accounts, page))
            .await
    }
}

/// Writes the entries of a transaction in the due indexes, and removes the former ones.
pub(super) fn set_due(
    write: &WriteTransaction,
    key: &str,
    transaction: &Transaction,
) -> Result<(), redb::Error> {
    let due = transaction.due_at().map(Timestamp::as_millisecond);
    let asked = transaction.asked_at().map(Timestamp::as_millisecond);
    let account = transaction.account().as_str();
    clear_due(write, key)?;
    let mut due_of = write.open_table(DUE_OF)?;
    let mut index = write.open_table(DUE)?;
    let mut indexed_of = write.open_table(INDEXED_OF)?;
    let mut indexed = write.open_table(INDEXED)?;
    if let Some(due) = due {
        due_of.insert(key, due)?;
        index.insert((due, key), ())?;
        indexed_of.insert(key, (account, due, asked))?;
        indexed.insert((account, EVERY, due, key), ())?;
        if let Some(asked) = asked {
            indexed.insert((account, ASKED, asked, key), ())?;
        }
    }
    Ok(())
}

/// Removes the entries of a transaction from the due indexes.
pub(super) fn clear_due(write: &WriteTransaction, key: &str) -> Result<(), redb::Error> {
    let mut due_of = write.open_table(DUE_OF)?;
    let mut index = write.open_table(DUE)?;
    if let Some(old) = due_of.remove(key)? {
        index.remove((old.value(), key))?;
    }
    let mut indexed_of = write.open_table(INDEXED_OF)?;
    let mut indexed = write.open_table(INDEXED)?;
    if let Some(old) = indexed_of.remove(key)? {
        let (account, due, asked) = old.value();
        indexed.remove((account, EVERY, due, key))?;
        if let Some(asked) = asked {
            indexed.remove((account, ASKED, asked, key))?;
        }
    }
    Ok(())
}

/// Returns the due checks of some accounts.
fn due(
    read: &ReadTransaction,
    leases: &Leases,
    now: Timestamp,
    accounts: &[AccountName],
    limit: usize,
) -> Result<Due, StoreError> {
    let now = now.as_millisecond();
    let (mut asked, mut scheduled, mut count) = (Vec::new(), Vec::new(), 0);
    for account in accounts {
        asked.extend(due_of_kind(read, leases, now, (account, ASKED), limit)?);
        scheduled.extend(due_of_kind(read, leases, now, (account, EVERY), limit)?);
        let indexed = read.open_table(INDEXED).map_err(failure)?;
        let range = indexed.range(until(account, EVERY, now)).map_err(failure)?;
        count += range.take(COUNT_MAX).count() as u64;
    }
    asked.sort_by_key(|(at, _)| *at);
    scheduled.sort_by_key(|(at, _)| *at);
    let is_asked = |check: &DueCheck| asked.iter().any(|(_, asked)| asked.key == check.key);
    scheduled.retain(|(_, check)| !is_asked(check));
    let checks = asked.into_iter().chain(scheduled);
    let all = read.open_table(DUE).map_err(failure)?;
    let first = all.range(..past(now)).map_err(failure)?.next();
    Ok(Due {
        checks: checks.map(|(_, check)| check).collect(),
        count,
        is_any_due: first.is_some(),
    })
}

/// Returns the end of the range of [`DUE`] up to and including a time.
fn past(now: i64) -> (i64, &'static str) {
    (now.saturating_add(1), "")
}

/// Returns the range of an index up to and including a time.
fn until(account: &AccountName, kind: u8, now: i64) -> Range<(&str, u8, i64, &str)> {
    let account = account.as_str();
    (account, kind, i64::MIN, "")..(account, kind, now.saturating_add(1), "")
}

/// Returns up to `limit` due checks of one index that are not leased, with their times.
fn due_of_kind(
    read: &ReadTransaction,
    leases: &Leases,
    now: i64,
    (account, kind): (&AccountName, u8),
    limit: usize,
) -> Result<Vec<(i64, DueCheck)>, StoreError> {
    let indexed = read.open_table(INDEXED).map_err(failure)?;
    let due_of = read.open_table(DUE_OF).map_err(failure)?;
    let mut found = Vec::new();
    for entry in indexed.range(until(account, kind, now)).map_err(failure)? {
        let (entry, _) = entry.map_err(failure)?;
        let (_, _, at, name) = entry.value();
        // An earlier release writes `DUE` and `DUE_OF`, but not `INDEXED`.
        let due = due_of.get(name).map_err(failure)?;
        if due.is_none_or(|due| due.value() > now) || leases.is_held(name) {
            continue;
        }
        let check = DueCheck {
            key: parse_key(name)?,
            account: account.clone(),
            is_asked: kind == ASKED,
        };
        found.push((at, check));
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

/// Returns a page of the due transactions that are missing from the indexes of some accounts.
fn unindexed(
    read: &ReadTransaction,
    now: Timestamp,
    accounts: &[AccountName],
    page: usize,
) -> Result<Unindexed, StoreError> {
    let table = read.open_table(DUE).map_err(failure)?;
    let indexed_of = read.open_table(INDEXED_OF).map_err(failure)?;
    let (mut keys, mut seen) = (Vec::new(), 0);
    let range = table.range(..past(now.as_millisecond())).map_err(failure)?;
    for entry in range.skip(page * PAGE).take(PAGE) {
        let (entry, _) = entry.map_err(failure)?;
        let (at, name) = entry.value();
        seen += 1;
        let known = indexed_of.get(name).map_err(failure)?;
        let is_indexed = known.is_some_and(|known| {
            let (account, due, _) = known.value();
            due == at && accounts.iter().any(|ours| ours.as_str() == account)
        });
        if !is_indexed {
            keys.push(parse_key(name)?);
        }
    }
    Ok(Unindexed {
        keys,
        is_last: seen < PAGE,
    })
}
