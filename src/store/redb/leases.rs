//! The leases on due checks.
//!
//! Only one process uses the store, so its leases are in memory: they end with the process, and
//! need no write.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use jiff::Timestamp;
use redb::{Database, ReadableDatabase};

use super::{
    error::failure,
    stored_record::StoredRecord,
    tables::{DUE_OF, RECORDS},
};
use crate::{
    store::{DueCheck, Lease, StoreError, record::Codec},
    transaction::{LeaseToken, Transaction},
};

/// The held leases, by key.
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<String, (LeaseToken, Instant)>>);

impl Leases {
    /// Returns true while a lease on a key is held.
    pub(super) fn is_held(&self, key: &str) -> bool {
        let leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leases
            .get(key)
            .is_some_and(|(_, ends)| *ends > Instant::now())
    }

    /// Releases the lease on a key if `token` holds it.
    pub(super) fn release(&self, key: &str, token: LeaseToken) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.get(key).is_some_and(|(held, _)| *held == token) {
            leases.remove(key);
        }
    }

    /// Acquires the lease on a due check; returns `None` when it is not due, or leased.
    pub(super) fn acquire(
        &self,
        database: &Database,
        check: &DueCheck,
        now: Timestamp,
        lease: Lease,
        codec: &Codec,
    ) -> Result<Option<Arc<Transaction>>, StoreError> {
        let name = check.key.to_string();
        // SUBTLE: the record is read under the lock. 1. a holder commits; 2. it releases; 3. the
        // next holder acquires, and so reads what (1) stored.
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        leases.retain(|_, (_, ends)| *ends > at);
        if leases.contains_key(&name) {
            return Ok(None);
        }
        let read = database.begin_read().map_err(failure)?;
        let due_of = read.open_table(DUE_OF).map_err(failure)?;
        let due = due_of.get(name.as_str()).map_err(failure)?;
        if due.is_none_or(|due| due.value() > now.as_millisecond()) {
            return Ok(None);
        }
        let records = read.open_table(RECORDS).map_err(failure)?;
        let Some(body) = records.get(name.as_str()).map_err(failure)? else {
            return Ok(None);
        };
        // Also for an unreadable record: it is retried when the lease expires.
        leases.insert(name, (lease.token, at + lease.lasts));
        let row = StoredRecord::read(body.value());
        codec.decode_record(&check.key, row.body).map(Some)
    }
}
