//! The records that a pass could not read, which are logged in one line.

use tracing::warn;

use super::retention::Retention;
use crate::store::StoreError;

/// The records that a pass could not read.
#[derive(Default)]
pub(super) struct UnreadableRecords {
    count: u64,
    /// The key and the error of the first one.
    first: Option<(String, StoreError)>,
}

impl UnreadableRecords {
    /// Counts a record.
    pub(super) fn add(&mut self, retention: &Retention, key: &str, error: StoreError) {
        retention.metrics.retention.failure("unreadable");
        self.count += 1;
        self.first.get_or_insert_with(|| (key.to_owned(), error));
    }

    /// Logs the records since the last call.
    pub(super) fn log(&mut self) {
        if let Some((first, error)) = self.first.take() {
            let count = std::mem::take(&mut self.count);
            warn!(
                count,
                first,
                %error,
                "unreadable records: they do not end, and the notes of open ones are not renewed; \
                 run okebayar-gateway store verify"
            );
        }
    }
}
