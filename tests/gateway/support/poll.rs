//! Waiting for a state of a server that sends no event about it.

use std::time::Duration;

use super::process::PATIENCE;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something to see, at most for [`PATIENCE`], and returns it.
pub async fn until_some<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let seen = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen)
        .await
        .unwrap_or_else(|_| panic!("never seen: {what}"))
}

/// Looks until a condition holds, at most for [`PATIENCE`].
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    until_some(what, async || holds().await.then_some(())).await;
}
