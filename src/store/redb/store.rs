//! The store itself: its reads, its one writer, and their time-outs.

use std::{future::Future, sync::Arc, time::Duration};

use jiff::SignedDuration;
use redb::{ReadTransaction, WriteTransaction};
use tokio::sync::{Semaphore, watch};

use super::{
    error::panic_failure, group_commit::WriteQueue, leases::Leases, settings::RedbSettings,
    source::DatabaseSource,
};
use crate::store::{StoreError, record::Codec};

/// The maximum number of concurrent reads; further ones wait.
const READS_MAX: usize = 64;

/// The embedded store.
pub struct RedbStore {
    pub(super) source: Arc<DatabaseSource>,
    pub(super) epoch: String,
    pub(super) timeout: Duration,
    pub(super) event_retention: SignedDuration,
    pub(super) codec: Arc<Codec>,
    reading: Arc<Semaphore>,
    /// redb has one writer: further writes wait here and can be withdrawn.
    writing: Arc<WriteQueue>,
    /// The number of writes that timed out and are still running.
    late: watch::Sender<usize>,
    pub(super) leases: Arc<Leases>,
}

impl RedbStore {
    /// Builds a store on an open database.
    pub(super) fn new(
        source: DatabaseSource,
        epoch: String,
        settings: &RedbSettings,
        codec: Codec,
    ) -> Self {
        // No other process has it open.
        codec.learn_unshared();
        Self {
            source: Arc::new(source),
            epoch,
            timeout: settings.timeout,
            event_retention: settings.event_retention,
            codec: Arc::new(codec),
            reading: Arc::new(Semaphore::new(READS_MAX)),
            writing: Arc::default(),
            late: watch::Sender::new(0),
            leases: Arc::default(),
        }
    }

    /// Returns the codec of the store.
    pub(in crate::store) fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Runs `work` in a read transaction, after every write that timed out before has ended.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let source = Arc::clone(&self.source);
        let reading = async {
            let mut late = self.late.subscribe();
            // The sender lives as long as `self`.
            let _ = late.wait_for(|late| *late == 0).await;
            let permit = Arc::clone(&self.reading).acquire_owned().await;
            blocking(move || {
                let _permit = permit;
                source.read(work)
            })
            .await
        };
        self.within(reading).await
    }

    /// Runs `work` in a transaction with other writes, committed and synced before this returns
    /// `Ok`. A failure is determinate until the turn of the write has begun, or when `work` fails.
    /// `work` may run twice, the first time in a transaction that is not committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_bytes(0, work).await
    }

    /// Runs `work` like [`RedbStore::write`]; it writes about `bytes`.
    pub(super) async fn write_bytes<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Fn(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut queued = self.writing.add(&self.source, bytes, work);
        if let Ok(answer) = tokio::time::timeout(self.timeout, &mut queued.answer).await {
            return answer.unwrap_or_else(|error| Err(panic_failure(&error)));
        }
        if queued.withdraw() {
            return Err(StoreError::Unavailable(self.timed_out()));
        }
        // Counted before the caller receives the time-out: see SUBTLE in [`super`].
        self.late.send_modify(|late| *late += 1);
        let late = self.late.clone();
        tokio::spawn(async move {
            let _ = (&mut queued.answer).await;
            late.send_modify(|late| *late -= 1);
        });
        Err(StoreError::Indeterminate(self.timed_out()))
    }

    /// Bounds a call that does not write to the file by the time-out of the store.
    pub(super) async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let done = tokio::time::timeout(self.timeout, call).await;
        done.unwrap_or_else(|_| Err(StoreError::Unavailable(self.timed_out())))
    }

    fn timed_out(&self) -> String {
        let timeout = self.timeout;
        format!("the disk did not answer within {timeout:?}")
    }
}

/// Runs blocking work on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(panic_failure(&error)))
}
