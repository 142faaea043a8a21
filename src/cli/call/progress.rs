//! Progress on a terminal while a call waits.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// The wait after which progress appears; shorter waits show nothing.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// The interval at which it is updated.
const TICK: Duration = Duration::from_secs(1);

/// Waits, and shows on standard error for how many seconds; nothing where that is no terminal.
pub(super) async fn with_progress<T>(message: &'static str, wait: impl Future<Output = T>) -> T {
    tokio::pin!(wait);
    if let Ok(done) = tokio::time::timeout(SHOWN_AFTER, &mut wait).await {
        return done;
    }
    let spinner = ProgressBar::new_spinner()
        .with_style(style())
        .with_message(message)
        .with_elapsed(SHOWN_AFTER);
    spinner.enable_steady_tick(TICK);
    let done = wait.await;
    spinner.finish_and_clear();
    done
}

fn style() -> ProgressStyle {
    let seconds = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        // Progress is a courtesy: a terminal that is gone does not end the call.
        let _ = write!(text, "{}", state.elapsed().as_secs());
    };
    ProgressStyle::with_template("{msg}: {seconds} s")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key("seconds", seconds)
}
