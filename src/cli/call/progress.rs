//! A sign of life on a terminal while a call waits.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Shows how long a wait takes, on standard error, if that is a terminal.
pub(super) struct Progress {
    is_shown: bool,
}

/// How often it is shown anew; shorter waits show nothing.
const TICK: Duration = Duration::from_secs(1);
/// Back to the start of the line, and nothing on it.
const CLEAR: &str = "\r\x1b[K";

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    /// Waits, and says so every second.
    pub(super) async fn during<T>(&self, what: &str, wait: impl Future<Output = T>) -> T {
        if !self.is_shown {
            return wait.await;
        }
        tokio::pin!(wait);
        let began = Instant::now();
        let mut ticks = interval_at(began + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut is_dirty = false;
        loop {
            tokio::select! {
                done = &mut wait => {
                    if is_dirty {
                        write(CLEAR);
                    }
                    return done;
                }
                _ = ticks.tick() => {
                    is_dirty = true;
                    let seconds = began.elapsed().as_secs();
                    write(&format!("{CLEAR}{what}: {seconds} s"));
                }
            }
        }
    }
}

/// A terminal that is gone is no reason to stop.
fn write(text: &str) {
    let mut terminal = std::io::stderr();
    let _ = terminal.write_all(text.as_bytes());
    let _ = terminal.flush();
}
