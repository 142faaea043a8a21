//! Group commit: the writes that wait share one write transaction, and so one sync.
//!
//! One thread, the writer, takes what waits, runs it in the order of arrival, commits, and answers
//! every caller; it ends when nothing waits. So no write waits for a later one, and a lone write is
//! committed at once.
//!
//! A write that fails or panics takes the transaction with it, and what the writes before it wrote.
//! They run again without it, in a transaction of their own, and then the writes after it, so a
//! write runs at most twice, and there are never more syncs than writes. What a write did in a
//! transaction that was not committed is gone, so running it again is safe.

use std::{
    cell::Cell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use redb::WriteTransaction;
use tokio::sync::oneshot;

use super::{
    error::{commit_failure, failure, panic_failure},
    source::DatabaseSource,
};
use crate::store::StoreError;

/// The maximum number of writes in one transaction.
pub(super) const BATCH_WRITES_MAX: usize = 256;
/// The maximum size of the writes in one transaction; a greater one is alone in its transaction.
pub(super) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The writes that wait for their turn.
#[derive(Default)]
pub(super) struct WriteQueue {
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    /// In the order of arrival, and so of their numbers.
    waiting: VecDeque<WaitingWrite>,
    next: u64,
    /// The writer runs, and will take what waits.
    has_writer: bool,
}

struct WaitingWrite {
    number: u64,
    bytes: usize,
    write: Box<dyn BatchedWrite>,
}

/// A write of a batch.
trait BatchedWrite: Send {
    /// Runs it in a transaction, and keeps its result.
    fn run(&mut self, write: &WriteTransaction) -> Result<(), StoreError>;

    /// Answers its caller: with the result, or with a failure.
    fn answer(self: Box<Self>, failure: Option<&StoreError>);
}

struct AwaitedWrite<W, T> {
    work: W,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> BatchedWrite for AwaitedWrite<W, T>
where
    W: Fn(&WriteTransaction) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, write: &WriteTransaction) -> Result<(), StoreError> {
        self.result = Some((self.work)(write)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<&StoreError>) {
        let done = match (failure, self.result) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(panic_failure(&"the write did not run")),
        };
        // The caller may have given up.
        let _ = self.reply.send(done);
    }
}

/// A write that was queued. Dropped while it waits for its turn, it never runs.
pub(super) struct QueuedWrite<T> {
    queue: Arc<WriteQueue>,
    number: u64,
    /// Resolves once the write is committed or has failed.
    pub(super) answer: oneshot::Receiver<Result<T, StoreError>>,
}

impl<T> QueuedWrite<T> {
    /// Withdraws the write; returns false when its turn has begun.
    pub(super) fn withdraw(&self) -> bool {
        let mut state = self.queue.lock();
        let found = state
            .waiting
            .binary_search_by_key(&self.number, |waiting| waiting.number);
        found.is_ok_and(|at| state.waiting.remove(at).is_some())
    }
}

impl<T> Drop for QueuedWrite<T> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl WriteQueue {
    /// Queues a write of about `bytes`. Starts the writer if there is none.
    pub(super) fn add<T: Send + 'static>(
        self: &Arc<Self>,
        source: &Arc<DatabaseSource>,
        bytes: usize,
        work: impl Fn(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> QueuedWrite<T> {
        let (reply, answer) = oneshot::channel();
        let write = Box::new(AwaitedWrite {
            work,
            result: None,
            reply,
        });
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(WaitingWrite {
            number,
            bytes,
            write,
        });
        if !std::mem::replace(&mut state.has_writer, true) {
            let (queue, source) = (Arc::clone(self), Arc::downgrade(source));
            tokio::task::spawn_blocking(move || queue.write_all(&source));
        }
        drop(state);
        QueuedWrite {
            queue: Arc::clone(self),
            number,
            answer,
        }
    }

    /// Commits batch after batch until nothing waits. Blocks the thread.
    fn write_all(&self, source: &Weak<DatabaseSource>) {
        let _writer = Writer(self);
        while let Some(batch) = self.take_batch() {
            commit_batch(source, batch);
        }
    }

    /// Takes the writes of one transaction. When nothing waits, the writer has ended.
    fn take_batch(&self) -> Option<Vec<Box<dyn BatchedWrite>>> {
        let mut state = self.lock();
        let (mut count, mut bytes) = (0, 0);
        for waiting in &state.waiting {
            bytes += waiting.bytes;
            if count == BATCH_WRITES_MAX || count > 0 && bytes > BATCH_BYTES_MAX {
                break;
            }
            count += 1;
        }
        state.has_writer = count > 0;
        let batch = state.waiting.drain(..count);
        (count > 0).then(|| batch.map(|waiting| waiting.write).collect())
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer, which the next write replaces if it panics.
struct Writer<'a>(&'a WriteQueue);

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().has_writer = false;
        }
    }
}

/// The failure of a transaction, none of whose writes is committed for certain.
enum BatchFailure {
    /// This write failed before the commit.
    OfWrite(usize, StoreError),
    /// The transaction could not begin, or its commit failed.
    OfTransaction(StoreError),
}

/// Commits writes, and answers their callers.
fn commit_batch(source: &Weak<DatabaseSource>, batch: Vec<Box<dyn BatchedWrite>>) {
    let mut groups = vec![batch];
    while let Some(mut group) = groups.pop() {
        let failure = match commit_once(source, &mut group) {
            Ok(()) => None,
            Err(BatchFailure::OfTransaction(error)) => Some(error),
            Err(BatchFailure::OfWrite(at, error)) => {
                let after = group.split_off(at + 1);
                if let Some(failed) = group.pop() {
                    failed.answer(Some(&error));
                }
                let split = [after, group];
                groups.extend(split.into_iter().filter(|group| !group.is_empty()));
                continue;
            }
        };
        for write in group {
            write.answer(failure.as_ref());
        }
    }
}

/// Runs and commits all writes in one transaction.
fn commit_once(
    source: &Weak<DatabaseSource>,
    group: &mut [Box<dyn BatchedWrite>],
) -> Result<(), BatchFailure> {
    // Held during the transaction only: whoever was answered may drop the store, and open its file
    // again at once.
    let Some(source) = source.upgrade() else {
        return Err(BatchFailure::OfTransaction(StoreError::Unavailable(
            "the store is closed".to_owned(),
        )));
    };
    let running = Cell::new(None);
    // After a panic the keeper opens the database again.
    let committed = catch_unwind(AssertUnwindSafe(|| {
        source.with(|database| {
            let transaction = database.begin_write().map_err(failure)?;
            for (at, write) in group.iter_mut().enumerate() {
                running.set(Some(at));
                write.run(&transaction)?;
            }
            running.set(None);
            transaction.commit().map_err(commit_failure)
        })
    }));
    let error = match committed {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_) => panic_failure(&"a write to the store panicked"),
    };
    Err(match running.get() {
        Some(at) => BatchFailure::OfWrite(at, error),
        None => BatchFailure::OfTransaction(error),
    })
}
