//! The progress of a long command on standard error.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// The number of entries after which a line is written where standard error is no terminal.
const LINE_EVERY: u64 = 100_000;

/// The progress of one part of a command.
pub(in crate::cli::store) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: Option<u64>,
    done: u64,
}

impl Progress {
    /// Begins a part; `total` is its approximate number of entries, where that is known.
    pub(in crate::cli::store) fn begin(what: &'static str, total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template = "{msg}: {human_pos} of {human_len} ({per_sec}, {eta} left)";
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(what);
            bar
        });
        Self {
            bar,
            what,
            total,
            done: 0,
        }
    }

    /// Adds entries.
    pub(in crate::cli::store) fn add(&mut self, count: u64) {
        let before = self.done / LINE_EVERY;
        self.done += count;
        match (&self.bar, self.total) {
            (Some(bar), _) => bar.set_position(self.done),
            (None, Some(total)) if self.done / LINE_EVERY > before => {
                eprintln!("{}: {} of about {total}", self.what, self.done);
            }
            (None, _) => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
