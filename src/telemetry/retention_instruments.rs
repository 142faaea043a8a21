//! The instruments of the retention.

use jiff::SignedDuration;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Meter},
};

/// The states of the records that end.
const STATES: [&str; 4] = ["SUCCEEDED", "FAILED", "REVERSED", "NOT_SENT"];
/// The reasons of failures.
const REASONS: [&str; 5] = ["store", "possible_loss", "clock", "unreadable", "schema"];

/// The instruments of the retention. Cheap to clone.
#[derive(Clone)]
pub struct RetentionInstruments {
    retired: Counter<u64>,
    tombstones_removed: Counter<u64>,
    events_trimmed: Counter<u64>,
    failures: Counter<u64>,
    lag: Gauge<u64>,
}

impl RetentionInstruments {
    /// Creates the instruments of a meter.
    #[must_use]
    pub fn new(meter: &Meter) -> Self {
        let counter = |name, about| meter.u64_counter(name).with_description(about).build();
        Self {
            retired: counter(
                "okebayar.retention.retired",
                "Records that ended, by the state of their transaction",
            ),
            tombstones_removed: counter(
                "okebayar.retention.tombstones_removed",
                "Tombstones that ended",
            ),
            events_trimmed: counter(
                "okebayar.retention.events_trimmed",
                "Events that ended and that no commit had removed",
            ),
            failures: counter(
                "okebayar.retention.failures",
                "Passes of the retention that were interrupted, and records that it could not read",
            ),
            lag: meter
                .u64_gauge("okebayar.retention.lag")
                .with_unit("s")
                .with_description("The longest time by which a record outlives its retention")
                .build(),
        }
    }

    /// Exports zeros.
    pub fn await_first(&self) {
        for state in STATES {
            self.retired.add(0, &[KeyValue::new("state", state)]);
        }
        for reason in REASONS {
            self.failures.add(0, &[KeyValue::new("reason", reason)]);
        }
        self.tombstones_removed.add(0, &[]);
        self.events_trimmed.add(0, &[]);
        self.lag.record(0, &[]);
    }

    /// Counts a record that ended.
    pub fn retired(&self, state: &'static str) {
        self.retired.add(1, &[KeyValue::new("state", state)]);
    }

    /// Counts tombstones that ended.
    pub fn tombstones_removed(&self, count: u64) {
        self.tombstones_removed.add(count, &[]);
    }

    /// Counts events that ended.
    pub fn events_trimmed(&self, count: u64) {
        self.events_trimmed.add(count, &[]);
    }

    /// Counts an interruption, or a record that cannot be read.
    pub fn failure(&self, reason: &'static str) {
        self.failures.add(1, &[KeyValue::new("reason", reason)]);
    }

    /// Records the longest time by which a record outlives its retention.
    pub fn lag(&self, lag: SignedDuration) {
        let seconds = u64::try_from(lag.as_secs()).unwrap_or(0);
        self.lag.record(seconds, &[]);
    }
}
