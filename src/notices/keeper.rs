//! The task that stores OKEBAYAR's texts to the partner, so that no purchase waits for that.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    ambient::Ambient,
    notices::texts::{self, NoticeOutcome},
    store::Store,
    telemetry::Metrics,
    transaction::AccountName,
};

/// The number of texts that may wait to be stored; further ones are dropped.
pub const WAITING_MAX: usize = 256;

/// Stores the texts that arrive, until `stopping`.
pub async fn run(
    store: Arc<dyn Store>,
    mut received: mpsc::Receiver<(AccountName, String)>,
    metrics: Metrics,
    ambient: Ambient,
    stopping: CancellationToken,
) {
    let mut store_answers = true;
    loop {
        let next = tokio::select! {
            next = received.recv() => next,
            () = stopping.cancelled() => received.try_recv().ok(),
        };
        let Some((account, text)) = next else {
            return;
        };
        let noted = texts::add_notice(&*store, &account, &text, (ambient.now)()).await;
        let result = match &noted {
            Ok(NoticeOutcome::Kept) => "kept",
            Ok(NoticeOutcome::Repeated) => "repeated",
            Ok(NoticeOutcome::TooMany) => "too_many",
            Err(_) => "not_stored",
        };
        metrics.notice(&account, result);
        // A failure is logged once, not for every text.
        if let (Err(error), true) = (&noted, store_answers) {
            warn!(%error, "text from OKEBAYAR not stored");
        }
        store_answers = noted.is_ok();
    }
}
