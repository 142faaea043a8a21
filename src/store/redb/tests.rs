//! Tests of group commit, of the time-outs of writes, and of the reads after them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, mpsc},
};

use futures::{FutureExt, future::join_all};
use jiff::Timestamp;
use redb::{ReadableTableMetadata, WriteTransaction};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use super::{
    RedbStore,
    error::failure,
    group_commit::{BATCH_BYTES_MAX, BATCH_WRITES_MAX},
    notes,
    tables::NOTES,
};
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

async fn open() -> (tempfile::TempDir, Arc<RedbStore>) {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity {
        accounts: BTreeMap::from([(AccountName::parse("main").unwrap(), String::new())]),
        names: AccountNames::default(),
        epoch: Uuid::from_u128(1),
    };
    let file = folder.path().join("store.redb");
    let store = RedbStore::open(&file, &identity).await.unwrap();
    (folder, Arc::new(store))
}

/// Returns a write that hangs in its turn, as on a hanging disk. The receiver resolves when its
/// turn begins, and the sender lets it end.
fn hang(
    store: &Arc<RedbStore>,
    name: &'static str,
) -> (
    oneshot::Receiver<()>,
    mpsc::Sender<()>,
    impl Future<Output = Result<CasResult, StoreError>> + use<>,
) {
    let (release, hangs) = mpsc::channel::<()>();
    let (begun, begins) = oneshot::channel();
    let begun = Mutex::new(Some(begun));
    let store = Arc::clone(store);
    let work = move |write: &WriteTransaction| {
        if let Some(begun) = begun.lock().unwrap().take() {
            begun.send(()).unwrap();
            hangs.recv().unwrap();
        }
        write_note(write, name)
    };
    (begins, release, async move { store.write(work).await })
}

/// A write that occupies the writer until it is released.
struct Hanging {
    release: mpsc::Sender<()>,
    written: JoinHandle<Result<CasResult, StoreError>>,
}

impl Hanging {
    /// Starts the write, and waits for its turn.
    async fn begin(store: &Arc<RedbStore>) -> Self {
        let (begins, release, write) = hang(store, "hanging");
        let written = tokio::spawn(write);
        begins.await.unwrap();
        Self { release, written }
    }

    fn end(&self) {
        self.release.send(()).unwrap();
    }
}

/// The writes of a test, in the order of their turns.
#[derive(Clone, Default)]
struct Turns(Arc<Mutex<Vec<(u64, String)>>>);

impl Turns {
    /// Queues the write of a note. Its turn records how many notes are committed then, a number
    /// that all writes of one transaction have in common.
    fn write(
        &self,
        store: &Arc<RedbStore>,
        name: &str,
        bytes: usize,
    ) -> impl Future<Output = Result<CasResult, StoreError>> + use<> {
        let (turns, source, name) = (self.clone(), Arc::clone(&store.source), name.to_owned());
        let store = Arc::clone(store);
        let work = move |write: &WriteTransaction| {
            let committed = source.read(|read| {
                let notes = read.open_table(NOTES).map_err(failure)?;
                notes.len().map_err(failure)
            })?;
            turns.0.lock().unwrap().push((committed, name.clone()));
            write_note(write, &name)
        };
        async move { store.write_bytes(bytes, work).await }
    }

    /// Returns the number of transactions.
    fn transactions(&self) -> usize {
        let turns = self.0.lock().unwrap();
        let distinct: BTreeSet<u64> = turns.iter().map(|(committed, _)| *committed).collect();
        distinct.len()
    }

    fn names(&self) -> Vec<String> {
        let turns = self.0.lock().unwrap();
        turns.iter().map(|(_, name)| name.clone()).collect()
    }
}

/// Polls writes until each is queued, in order, while the writer hangs. They then run on.
fn queue<T: Send + 'static>(
    writes: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<JoinHandle<T>> {
    let mut queued = Vec::new();
    for write in writes {
        let mut write = Box::pin(write);
        assert!((&mut write).now_or_never().is_none());
        queued.push(tokio::spawn(write));
    }
    queued
}

async fn all_done(writes: Vec<JoinHandle<Result<CasResult, StoreError>>>) {
    for written in join_all(writes).await {
        assert_eq!(written.unwrap().unwrap(), CasResult::Done);
    }
}

#[tokio::test]
async fn waiting_writes_share_one_transaction_in_order_of_arrival() {
    let (_folder, store) = open().await;
    let hanging = Hanging::begin(&store).await;
    let turns = Turns::default();
    let names: Vec<String> = (0..100).map(|number| format!("note {number:03}")).collect();
    let writes = queue(names.iter().map(|name| turns.write(&store, name, 0)));
    hanging.end();
    all_done(writes).await;
    assert_eq!(turns.transactions(), 1);
    assert_eq!(turns.names(), names);
    for name in &names {
        assert_eq!(store.note(name).await.unwrap().as_deref(), Some("text"));
    }
    assert_eq!(hanging.written.await.unwrap().unwrap(), CasResult::Done);
}

#[tokio::test]
async fn transaction_is_bounded_in_writes_and_bytes() {
    let (_folder, store) = open().await;
    let many = BATCH_WRITES_MAX + 1;
    for (count, bytes, transactions) in [
        (many, 0, 2),
        (4, BATCH_BYTES_MAX / 2, 2),
        (3, BATCH_BYTES_MAX + 1, 3),
    ] {
        let hanging = Hanging::begin(&store).await;
        let turns = Turns::default();
        let write = |number| turns.write(&store, &format!("{bytes} {number}"), bytes);
        let writes = queue((0..count).map(write));
        hanging.end();
        all_done(writes).await;
        assert_eq!(turns.transactions(), transactions, "{count} of {bytes}");
        hanging.written.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn failing_and_panicking_writes_of_a_transaction_fail_alone() {
    let (_folder, store) = open().await;
    let hanging = Hanging::begin(&store).await;
    let turns = Turns::default();
    let write = |name: &str, end: fn() -> Result<CasResult, StoreError>| {
        let (store, name) = (Arc::clone(&store), name.to_owned());
        async move {
            let work = move |write: &WriteTransaction| write_note(write, &name).and_then(|_| end());
            store.write(work).await
        }
    };
    let fails = || Err(StoreError::Unsuitable("it fails".to_owned()));
    let before = queue([turns.write(&store, "1", 0), turns.write(&store, "2", 0)]);
    let failing = queue([write("failing", fails)]);
    let between = queue([turns.write(&store, "3", 0), turns.write(&store, "4", 0)]);
    let panicking = queue([write("panicking", || panic!("a test"))]);
    let after = queue([turns.write(&store, "5", 0), turns.write(&store, "6", 0)]);
    hanging.end();
    for writes in [before, between, after] {
        all_done(writes).await;
    }
    for failing in failing {
        let failed = failing.await.unwrap().unwrap_err();
        assert!(matches!(failed, StoreError::Unsuitable(_)), "{failed}");
    }
    for panicking in panicking {
        let failed = panicking.await.unwrap().unwrap_err();
        assert!(failed.is_indeterminate(), "{failed}");
    }
    assert_eq!(turns.transactions(), 3);
    let again = ["1", "2", "1", "2", "3", "4", "3", "4", "5", "6"];
    assert_eq!(turns.names(), again, "each runs at most twice, in order");
    for (name, is_stored) in [("1", true), ("4", true), ("6", true), ("failing", false)] {
        let stored = store.note(name).await.unwrap();
        assert_eq!(stored.is_some(), is_stored, "{name}");
    }
    assert_eq!(store.note("panicking").await.unwrap(), None);
    hanging.written.await.unwrap().unwrap();
}

/// Moves the clock past the time-out of the calls in flight.
async fn time_out(store: &RedbStore) {
    // Each call begins, and so has its timer, before the clock moves.
    tokio::task::yield_now().await;
    tokio::time::advance(store.timeout * 2).await;
}

/// Starts a read.
fn read(
    store: &Arc<RedbStore>,
    name: &'static str,
) -> JoinHandle<Result<Option<String>, StoreError>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.note(name).await })
}

#[tokio::test(start_paused = true)]
async fn no_read_overtakes_a_write_that_timed_out() {
    let (_folder, store) = open().await;
    let hanging = Hanging::begin(&store).await;
    let turns = Turns::default();
    let waiting = queue([turns.write(&store, "given up", 0)]);
    time_out(&store).await;
    for waiting in waiting {
        let given_up = waiting.await.unwrap();
        assert!(matches!(given_up, Err(StoreError::Unavailable(_))));
    }
    let Hanging { release, written } = hanging;
    let late = written.await.unwrap();
    assert!(matches!(late, Err(StoreError::Indeterminate(_))));
    let reading = read(&store, "hanging");
    time_out(&store).await;
    let read_back = reading.await.unwrap();
    assert!(read_back.is_err(), "it may be stored yet: {read_back:?}");
    let verifying = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.verify().await }
    });
    time_out(&store).await;
    assert!(verifying.await.unwrap().is_err());

    let reading = read(&store, "hanging");
    tokio::task::yield_now().await;
    assert!(!reading.is_finished());
    release.send(()).unwrap();
    let stored = reading.await.unwrap().unwrap();
    assert_eq!(stored.as_deref(), Some("text"));
    assert_eq!(store.note("given up").await.unwrap(), None);
    assert_eq!(turns.names(), [""; 0]);
    store.verify().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn time_out_of_a_transaction_is_indeterminate_for_each_of_its_writes() {
    let (_folder, store) = open().await;
    let first = Hanging::begin(&store).await;
    let turns = Turns::default();
    // The writes of the next transaction: two notes, and a write that hangs between them.
    let before = queue([turns.write(&store, "before", 0)]);
    let (begins, release, second) = hang(&store, "hanging second");
    let second = queue([second]);
    let after = queue([turns.write(&store, "after", 0)]);
    first.end();
    begins.await.unwrap();
    first.written.await.unwrap().unwrap();
    // It waits for the turn after that transaction.
    let given_up = queue([turns.write(&store, "given up", 0)]);
    time_out(&store).await;
    for given_up in given_up {
        let given_up = given_up.await.unwrap();
        assert!(matches!(given_up, Err(StoreError::Unavailable(_))));
    }
    for write in before.into_iter().chain(second).chain(after) {
        let timed_out = write.await.unwrap();
        assert!(
            matches!(timed_out, Err(StoreError::Indeterminate(_))),
            "{timed_out:?}"
        );
    }
    let reading = read(&store, "after");
    time_out(&store).await;
    let read_back = reading.await.unwrap();
    assert!(read_back.is_err(), "it may be stored yet: {read_back:?}");

    release.send(()).unwrap();
    for name in ["before", "hanging second", "after"] {
        assert_eq!(store.note(name).await.unwrap().as_deref(), Some("text"));
    }
    assert_eq!(store.note("given up").await.unwrap(), None);
}

#[tokio::test]
async fn abandoned_write_that_waits_for_its_turn_never_runs() {
    let (_folder, store) = open().await;
    let hanging = Hanging::begin(&store).await;
    let turns = Turns::default();
    let abandoned = queue([turns.write(&store, "abandoned", 0)]);
    let kept = queue([turns.write(&store, "kept", 0)]);
    for abandoned in abandoned {
        abandoned.abort();
        assert!(abandoned.await.unwrap_err().is_cancelled());
    }
    hanging.end();
    all_done(kept).await;
    assert_eq!(turns.names(), ["kept"]);
    hanging.written.await.unwrap().unwrap();
}
