//! Looks for transactions that are due and has them checked, also those of a
//! process that is gone (promise 11).

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::engine::Engine;

/// How many due transactions are looked up at a time.
const BATCH: usize = 256;

/// Runs until `stopping`. Checks that have begun are finished as tasks of the
/// engine.
pub async fn run(
    engine: Arc<Engine>,
    checking: usize,
    poll_interval: Duration,
    stopping: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(checking));
    let mut store_answers = true;
    loop {
        let due = engine.due(BATCH).await;
        // A failure is told once, not at every look.
        if let (Err(error), true) = (&due, store_answers) {
            warn!(%error, "due transactions cannot be looked up");
        }
        store_answers = due.is_ok();
        for key in due.unwrap_or_default() {
            let slot = tokio::select! {
                slot = Arc::clone(&slots).acquire_owned() => slot,
                () = stopping.cancelled() => return,
            };
            let engine = Arc::clone(&engine);
            engine.tasks().clone().spawn(async move {
                if let Err(error) = engine.check_due(&key).await {
                    warn!(%key, %error, "a status check could not be stored");
                }
                drop(slot);
            });
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = engine.something_due() => {}
            () = tokio::time::sleep(poll_interval) => {}
        }
    }
}
