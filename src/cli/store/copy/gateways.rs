//! The check that no gateway runs.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::store::{OpenedStore, SeenGateways};

/// The time that is added to the presences, so that all have ended.
const MARGIN: Duration = Duration::from_millis(500);

/// Verifies that no gateway is subscribed, and that none has been present until now: waits until the
/// presences of gateways that were stopped have ended.
pub(super) async fn ensure_none(store: &OpenedStore, which: &str) -> Result<()> {
    let seen = store.seen_gateways().await?;
    refuse_listeners(&seen, which)?;
    let Some(left) = seen.present.iter().map(|(_, left_ms)| *left_ms).max() else {
        return Ok(());
    };
    let wait = Duration::from_millis(left) + MARGIN;
    eprintln!(
        "{which}: a gateway was there a moment ago; waiting {} s for its presence to end",
        wait.as_secs() + 1
    );
    tokio::time::sleep(wait).await;
    let seen = store.seen_gateways().await?;
    refuse_listeners(&seen, which)?;
    ensure!(
        seen.present.is_empty(),
        "{which}: {} gateways still verify it: stop every gateway; nothing is changed",
        seen.present.len()
    );
    Ok(())
}

fn refuse_listeners(seen: &SeenGateways, which: &str) -> Result<()> {
    ensure!(
        seen.listeners == 0,
        "{which}: {} gateways are connected to it: stop every gateway; nothing is changed",
        seen.listeners
    );
    Ok(())
}
