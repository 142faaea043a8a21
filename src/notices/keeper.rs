//! Keeps OKEBAYAR's texts to the partner, away from the path of any purchase.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    ambient::Ambient,
    notices::texts::{self as notices, NoticeOutcome},
    store::Store,
    telemetry::Metrics,
    transaction::AccountName,
};

/// How many texts may wait to be kept; further ones are lost.
pub const WAITING_MAX: usize = 256;

/// Keeps what comes, until `stopping`.
pub async fn run(
    store: Arc<dyn Store>,
    mut texts: mpsc::Receiver<(AccountName, String)>,
    metrics: Metrics,
    ambient: Ambient,
    stopping: CancellationToken,
) {
    let mut store_answers = true;
    loop {
        let next = tokio::select! {
            next = texts.recv() => next,
            () = stopping.cancelled() => texts.try_recv().ok(),
        };
        let Some((account, text)) = next else {
            return;
        };
        let noted = notices::add_notice(&*store, &account, &text, (ambient.now)()).await;
        let result = match &noted {
            Ok(NoticeOutcome::Kept) => "kept",
            Ok(NoticeOutcome::Repeated) => "repeated",
            Ok(NoticeOutcome::TooMany) => "too_many",
            Err(_) => "not_stored",
        };
        metrics.notice(&account, result);
        // A failure is told once, not for every text.
        if let (Err(error), true) = (&noted, store_answers) {
            warn!(%error, "a text from OKEBAYAR could not be kept");
        }
        store_answers = noted.is_ok();
    }
}
