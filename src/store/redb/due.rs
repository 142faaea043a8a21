//! Due checks and their leases.
//!
//! The store has one process, so its leases are in memory: they end with their holder,
//! and cost no write. What is due is on disk: completely in `DUE`, which the earlier
//! release writes too, and by account in `INDEXED`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use jiff::Timestamp;
use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};

use super::{DUE, DUE_OF, RECORDS, unavailable};
use crate::{
    store::{Due, DueCheck, Lease, StoreError, Unindexed, key, record},
    transaction::{AccountName, LeaseToken, Transaction},
};

/// (account, kind, time in Unix milliseconds, key).
const INDEXED: TableDefinition<'_, (&str, u8, i64, &str), ()> =
    TableDefinition::new("due_by_account");
/// Key -> (account, due, asked for), to find it in `INDEXED`.
const INDEXED_OF: TableDefinition<'_, &str, (&str, i64, Option<i64>)> =
    TableDefinition::new("due_by_account_of");

/// The kinds of entries: every due check, and those that were asked for.
const EVERY: u8 = 0;
const ASKED: u8 = 1;

/// The most that are counted of each account.
const COUNT_MAX: usize = 4096;
/// How many a page of [`unindexed`] looks at.
const PAGE: usize = 1024;

/// The leases that are held, by key.
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<String, (LeaseToken, Instant)>>);

impl Leases {
    fn is_held(&self, key: &str) -> bool {
        let leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leases
            .get(key)
            .is_some_and(|(_, ends)| *ends > Instant::now())
    }

    /// Releases the lease of a key, if it is this one.
    pub(super) fn release(&self, key: &str, token: LeaseToken) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.get(key).is_some_and(|(held, _)| *held == token) {
            leases.remove(key);
        }
    }

    /// Acquires the lease on a check that is due.
    pub(super) fn acquire(
        &self,
        database: &Database,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let name = check.key.to_string();
        // SUBTLE: what is stored is read under the lock. 1. a holder commits; 2. it
        // releases; 3. another one acquires, and so reads what 1 stored.
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        leases.retain(|_, (_, ends)| *ends > at);
        if leases.contains_key(&name) {
            return Ok(None);
        }
        let read = database.begin_read().map_err(unavailable)?;
        let due_of = read.open_table(DUE_OF).map_err(unavailable)?;
        let due = due_of.get(name.as_str()).map_err(unavailable)?;
        if due.is_none_or(|due| due.value() > now.as_millisecond()) {
            return Ok(None);
        }
        let records = read.open_table(RECORDS).map_err(unavailable)?;
        let Some(body) = records.get(name.as_str()).map_err(unavailable)? else {
            return Ok(None);
        };
        // Also one that cannot be read: nobody tries it again before the lease ends.
        leases.insert(name, (lease.token, at + lease.lasts));
        record::decode(&check.key, body.value()).map(Some)
    }
}

pub(super) fn make_tables(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(INDEXED)?;
    write.open_table(INDEXED_OF)?;
    Ok(())
}

/// Keeps the due indexes of a transaction.
pub(super) fn set_due(
    write: &WriteTransaction,
    key: &str,
    transaction: &Transaction,
) -> Result<(), redb::Error> {
    let due = transaction.due_at().map(Timestamp::as_millisecond);
    let asked = transaction.asked_at().map(Timestamp::as_millisecond);
    let account = transaction.account().as_str();
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

/// Returns the due checks of some accounts.
pub(super) fn due(
    read: &ReadTransaction,
    leases: &Leases,
    now: Timestamp,
    accounts: &[AccountName],
    limit: usize,
) -> Result<Due, StoreError> {
    let indexed = read.open_table(INDEXED).map_err(unavailable)?;
    let due_of = read.open_table(DUE_OF).map_err(unavailable)?;
    let now = now.as_millisecond();
    let (mut asked, mut scheduled, mut count) = (Vec::new(), Vec::new(), 0);
    for account in accounts {
        for (kind, found) in [(ASKED, &mut asked), (EVERY, &mut scheduled)] {
            let first = (account.as_str(), kind, i64::MIN, "");
            let past_now = (account.as_str(), kind, now.saturating_add(1), "");
            let mut taken = 0;
            for entry in indexed.range(first..past_now).map_err(unavailable)? {
                let (entry, _) = entry.map_err(unavailable)?;
                let (_, _, at, name) = entry.value();
                // The earlier release commits to `DUE_OF` alone.
                let due = due_of.get(name).map_err(unavailable)?;
                if due.is_none_or(|due| due.value() > now) || leases.is_held(name) {
                    continue;
                }
                let key = key::parse_key(name)?;
                let check = DueCheck {
                    key,
                    account: account.clone(),
                    is_asked: kind == ASKED,
                };
                found.push((at, check));
                taken += 1;
                if taken == limit {
                    break;
                }
            }
            if kind == EVERY {
                let range = indexed.range(first..past_now).map_err(unavailable)?;
                count += range.take(COUNT_MAX).count() as u64;
            }
        }
    }
    asked.sort_by_key(|(at, _)| *at);
    scheduled.sort_by_key(|(at, _)| *at);
    let is_asked = |check: &DueCheck| asked.iter().any(|(_, asked)| asked.key == check.key);
    scheduled.retain(|(_, check)| !is_asked(check));
    let checks = asked.into_iter().chain(scheduled);
    Ok(Due {
        checks: checks.map(|(_, check)| check).collect(),
        count,
    })
}

/// Returns a page of what is due and not in the indexes of some accounts.
pub(super) fn unindexed(
    read: &ReadTransaction,
    now: Timestamp,
    accounts: &[AccountName],
    page: usize,
) -> Result<Unindexed, StoreError> {
    let table = read.open_table(DUE).map_err(unavailable)?;
    let indexed_of = read.open_table(INDEXED_OF).map_err(unavailable)?;
    let past_now = (now.as_millisecond().saturating_add(1), "");
    let (mut keys, mut seen) = (Vec::new(), 0);
    let range = table.range(..past_now).map_err(unavailable)?;
    for entry in range.skip(page * PAGE).take(PAGE) {
        let (entry, _) = entry.map_err(unavailable)?;
        let (at, name) = entry.value();
        seen += 1;
        let known = indexed_of.get(name).map_err(unavailable)?;
        let is_indexed = known.is_some_and(|known| {
            let (account, due, _) = known.value();
            due == at && accounts.iter().any(|ours| ours.as_str() == account)
        });
        if !is_indexed {
            keys.push(key::parse_key(name)?);
        }
    }
    Ok(Unindexed {
        keys,
        is_last: seen < PAGE,
    })
}
