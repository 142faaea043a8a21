//! Keeps OKEBAYAR's texts to the partner, away from the path of any purchase.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    ambient::Ambient,
    store::{Store, inbox},
    transaction::AccountName,
};

/// How many texts may wait to be kept; further ones are lost.
pub const WAITING_MAX: usize = 256;

/// Keeps what comes, until `stopping`.
pub async fn run(
    store: Arc<dyn Store>,
    mut texts: mpsc::Receiver<(AccountName, String)>,
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
        let kept = inbox::add_notice(&*store, &account, &text, (ambient.now)()).await;
        // A failure is told once, not for every text.
        if let (Err(error), true) = (&kept, store_answers) {
            warn!(%error, "a text from OKEBAYAR could not be kept");
        }
        store_answers = kept.is_ok();
    }
}
