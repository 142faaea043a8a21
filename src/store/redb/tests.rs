//! Tests of the time-outs of writes, and of the reads after them.

use std::{collections::BTreeMap, sync::mpsc, time::Duration};

use jiff::Timestamp;
use redb::WriteTransaction;
use uuid::Uuid;

use super::{RedbStore, error::failure, notes};
use crate::{
    store::{CasResult, Expiry, Identity, Store, StoreError},
    transaction::{AccountName, AccountNames},
};

fn write_note(write: &WriteTransaction, name: &str) -> Result<CasResult, StoreError> {
    let keep = Expiry {
        now: Timestamp::UNIX_EPOCH,
        until: Timestamp::MAX,
    };
    notes::put(write, name, None, "text", keep).map_err(failure)
}

/// A hanging write simulates a hanging disk: both hold the only writer.
#[tokio::test]
async fn no_read_overtakes_a_write_that_timed_out() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity {
        accounts: BTreeMap::from([(AccountName::parse("main").unwrap(), String::new())]),
        names: AccountNames::default(),
        epoch: Uuid::from_u128(1),
    };
    let file = folder.path().join("store.redb");
    let mut store = RedbStore::open(&file, &identity).await.unwrap();
    store.timeout = Duration::from_millis(100);
    let (release, hangs) = mpsc::channel::<()>();
    let hanging = store.write(move |write| {
        hangs.recv().unwrap();
        write_note(write, "late")
    });
    assert!(matches!(hanging.await, Err(StoreError::Indeterminate(_))));
    let read = store.note("late").await;
    assert!(read.is_err(), "it may be stored yet: {read:?}");
    let waiting = store.write(|write| write_note(write, "given up"));
    assert!(matches!(waiting.await, Err(StoreError::Unavailable(_))));
    assert!(store.verify().await.is_err());

    release.send(()).unwrap();
    store.timeout = Duration::from_mins(1);
    assert_eq!(store.note("late").await.unwrap().as_deref(), Some("text"));
    assert_eq!(store.note("given up").await.unwrap(), None);
    store.verify().await.unwrap();
}
