//! All instruments: names, units and labels in one place.
//!
//! Labels have bounded cardinality: accounts are configured, everything else is an enumeration.
//! Reference and trace codes are never labels.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter},
};
use opentelemetry_semantic_conventions::{
    attribute::{RPC_METHOD, RPC_RESPONSE_STATUS_CODE},
    metric::RPC_SERVER_CALL_DURATION,
};

use super::retention_instruments::RetentionInstruments;
use crate::transaction::{AccountName, Amount, Operation, ReviewCause, State};

/// Buckets for calls: from a cached answer to the longest time-out of OKEBAYAR.
const CALL_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 45.0, 60.0,
];
/// Buckets for store calls: from a read in memory to the time-out.
const STORE_BUCKETS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 3.0,
];
/// Buckets for the time from claim to final state: from a second to three days.
const SETTLEMENT_BUCKETS: [f64; 10] = [
    1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0, 259_200.0,
];

/// The upper bounds, in seconds, and the names of the age buckets of unresolved transactions; the
/// last one is unbounded.
pub const AGES: [(i64, &str); 5] = [
    (60, "below_1m"),
    (600, "below_10m"),
    (3_600, "below_1h"),
    (86_400, "below_24h"),
    (i64::MAX, "above_24h"),
];

/// The operations whose answers may name another member.
const MEMBER_OPERATIONS: [&str; 8] = [
    "purchase",
    "payment",
    "check",
    "prepaid_inquiry",
    "postpaid_inquiry",
    "balance",
    "echo",
    "callback",
];

/// The instruments of the gateway. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    calls: Histogram<f64>,
    operations: Histogram<f64>,
    transitions: Counter<u64>,
    contradictions: Counter<u64>,
    settlement: Histogram<f64>,
    open: Gauge<u64>,
    unresolved: Gauge<u64>,
    unconfigured: Gauge<u64>,
    callbacks: Counter<u64>,
    checks: Counter<u64>,
    another_member: Counter<u64>,
    inquiries_sold: Counter<u64>,
    differing: Counter<u64>,
    checks_due: Gauge<u64>,
    checks_running: Gauge<u64>,
    replays: Counter<u64>,
    balance: Gauge<f64>,
    watchers: UpDownCounter<i64>,
    waiters: UpDownCounter<i64>,
    orphan_checks: Counter<u64>,
    notices: Counter<u64>,
    watch_lag: Histogram<f64>,
    store: Histogram<f64>,
    store_healthy: Gauge<u64>,
    guard: Gauge<u64>,
    queued: Gauge<u64>,
    sending: Gauge<u64>,
    /// The instruments of the retention.
    pub retention: RetentionInstruments,
}

impl Default for Metrics {
    /// Creates the instruments of the installed meter provider. Without one they record nothing.
    fn default() -> Self {
        Self::new(&opentelemetry::global::meter(env!("CARGO_PKG_NAME")))
    }
}

impl Metrics {
    /// Creates the instruments of a meter.
    #[must_use]
    pub fn new(meter: &Meter) -> Self {
        let seconds = |name, about, buckets: &[f64]| histogram(meter, name, about, buckets);
        let counter = |name, about| counter(meter, name, about);
        let gauge = |name, about| gauge(meter, name, about);
        let level = |name, about| level(meter, name, about);
        let info = gauge("okebayar.build.info", "1; the label is the running version");
        info.record(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
        Self {
            calls: seconds(RPC_SERVER_CALL_DURATION, "gRPC calls served", &CALL_BUCKETS),
            operations: seconds(
                "okebayar.operation.duration",
                "Calls to OKEBAYAR",
                &CALL_BUCKETS,
            ),
            transitions: counter("okebayar.transaction.transitions", "Changes of state"),
            contradictions: counter(
                "okebayar.transaction.contradictions",
                "Transactions with proof of success and of failure",
            ),
            settlement: seconds(
                "okebayar.transaction.settlement.duration",
                "From the claim to a final state",
                &SETTLEMENT_BUCKETS,
            ),
            open: gauge(
                "okebayar.transaction.open",
                "Transactions in a state that is not final",
            ),
            unresolved: gauge(
                "okebayar.transaction.unresolved",
                "Transactions whose outcome is open, by age",
            ),
            unconfigured: gauge(
                "okebayar.transaction.unconfigured_account",
                "Transactions whose outcome is open, of accounts that are not configured",
            ),
            callbacks: counter("okebayar.callbacks", "Callbacks received"),
            checks: counter("okebayar.checks", "Status checks made"),
            another_member: counter(
                "okebayar.answers.another_member",
                "Answers and trusted callbacks that name another member",
            ),
            inquiries_sold: counter(
                "okebayar.inquiries.answered_as_purchase",
                "Inquiries that OKEBAYAR answered like purchases, and may have sold",
            ),
            differing: counter(
                "okebayar.answers.differing",
                "Answers and trusted callbacks about our reference code that name another account \
                 number, product or inquiry",
            ),
            checks_due: gauge("okebayar.checks.due", "Status checks due and not started"),
            checks_running: gauge("okebayar.checks.running", "Status checks in flight"),
            replays: counter(
                "okebayar.replays",
                "Calls whose reference code was in use already",
            ),
            balance: meter
                .f64_gauge("okebayar.deposit.balance")
                .with_description("The deposit that OKEBAYAR last reported, in rupiah")
                .build(),
            watchers: level("okebayar.watchers", "Open watch streams"),
            waiters: level("okebayar.waiters", "Calls that wait for an outcome"),
            orphan_checks: counter(
                "okebayar.orphan.checks",
                "Status checks about reference codes that the store does not know",
            ),
            notices: counter("okebayar.notices", "Texts from OKEBAYAR to the partner"),
            watch_lag: seconds(
                "okebayar.watch.lag",
                "From a change to its delivery to watchers of all transactions",
                &CALL_BUCKETS,
            ),
            store: seconds(
                "okebayar.store.operation.duration",
                "Store calls",
                &STORE_BUCKETS,
            ),
            store_healthy: gauge("okebayar.store.healthy", "1 while the store is usable"),
            guard: gauge(
                "okebayar.failover.guard",
                "1 while the failover guard is on: what is not provably new is quarantined",
            ),
            queued: gauge("okebayar.queue.waiting", "Purchases queued or in flight"),
            sending: gauge("okebayar.queue.sending", "Purchases in flight"),
            retention: RetentionInstruments::new(meter),
        }
    }

    /// Records a gRPC call that was served.
    pub fn call(&self, method: &str, status: &'static str, took: Duration) {
        let labels = [
            KeyValue::new(RPC_METHOD, method.to_owned()),
            KeyValue::new(RPC_RESPONSE_STATUS_CODE, status),
        ];
        self.calls.record(took.as_secs_f64(), &labels);
    }

    /// Records a call to OKEBAYAR.
    pub fn operation(
        &self,
        account: &AccountName,
        operation: &'static str,
        result: &'static str,
        took: Duration,
    ) {
        let labels = [
            account_label(account),
            KeyValue::new("okebayar.operation", operation),
            KeyValue::new("okebayar.result", result),
        ];
        self.operations.record(took.as_secs_f64(), &labels);
    }

    /// Records a change of state, and the settlement if the new state is final; `age` is the number
    /// of seconds since the claim.
    pub fn transition(&self, operation: Operation, from: &State, to: &State, age: f64) {
        let labels = [
            operation_label(operation),
            KeyValue::new("from", from.name()),
            KeyValue::new("to", to.name()),
        ];
        self.transitions.add(1, &labels);
        if matches!(
            to,
            State::NeedsReview {
                cause: ReviewCause::Contradicted,
                ..
            }
        ) {
            self.contradictions.add(1, &[operation_label(operation)]);
        }
        if to.is_terminal() && !from.is_terminal() {
            let labels = [
                operation_label(operation),
                KeyValue::new("state", to.name()),
            ];
            self.settlement.record(age, &labels);
        }
    }

    /// Records the number of transactions in a state that is not final.
    pub fn open(&self, state: &'static str, count: u64) {
        self.open.record(count, &[KeyValue::new("state", state)]);
    }

    /// Records the number of unresolved transactions in an age bucket.
    pub fn unresolved(&self, age: &'static str, count: u64) {
        self.unresolved.record(count, &[KeyValue::new("age", age)]);
    }

    /// Records the number of unresolved transactions in a state whose account is not configured.
    /// The account is not a label: only configured accounts may be.
    pub fn unconfigured(&self, state: &'static str, count: u64) {
        self.unconfigured
            .record(count, &[KeyValue::new("state", state)]);
    }

    /// Counts a callback.
    pub fn callback(&self, result: &'static str) {
        self.callbacks.add(1, &[KeyValue::new("result", result)]);
    }

    /// Counts a status check.
    pub fn check(&self, account: &AccountName, result: &'static str) {
        let labels = [account_label(account), KeyValue::new("result", result)];
        self.checks.add(1, &labels);
    }

    /// Records the number of status checks that are due for the accounts of this gateway, and the
    /// number in flight.
    pub fn checks_at_work(&self, due: u64, running: usize) {
        self.checks_due.record(due, &[]);
        self.checks_running.record(running as u64, &[]);
    }

    /// Counts an answer, or a trusted callback, that names another member.
    pub fn another_member(&self, account: &AccountName, operation: &'static str) {
        let labels = [
            account_label(account),
            KeyValue::new("okebayar.operation", operation),
        ];
        self.another_member.add(1, &labels);
    }

    /// Counts an inquiry that OKEBAYAR may have sold.
    pub fn inquiry_sold(&self, account: &AccountName) {
        self.inquiries_sold.add(1, &[account_label(account)]);
    }

    /// Exports a zero for inquiries that may have been sold: an alert on the first one must see an
    /// increase.
    pub fn await_inquiry_sold(&self, account: &AccountName) {
        self.inquiries_sold.add(0, &[account_label(account)]);
    }

    /// Exports zeros for answers that name another member: an alert on the first one must see an
    /// increase.
    pub fn await_another_member(&self, account: &AccountName) {
        for operation in MEMBER_OPERATIONS {
            let labels = [
                account_label(account),
                KeyValue::new("okebayar.operation", operation),
            ];
            self.another_member.add(0, &labels);
        }
    }

    /// Counts an answer, or a trusted callback, about our reference code in which only this field
    /// differs.
    pub fn difference(&self, account: &AccountName, field: &'static str) {
        let labels = [account_label(account), KeyValue::new("field", field)];
        self.differing.add(1, &labels);
    }

    /// Exports zeros for such answers: an alert on the first one must see an increase.
    pub fn await_difference(
        &self,
        account: &AccountName,
        fields: impl IntoIterator<Item = &'static str>,
    ) {
        for field in fields {
            let labels = [account_label(account), KeyValue::new("field", field)];
            self.differing.add(0, &labels);
        }
    }

    /// Counts a call whose reference code was in use already.
    pub fn replay(&self, operation: Operation) {
        self.replays.add(1, &[operation_label(operation)]);
    }

    /// Records the deposit that OKEBAYAR reported.
    pub fn balance(&self, account: &AccountName, balance: Amount) {
        let (units, _) = balance.units_and_nanos();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is read as a float")]
        self.balance.record(units as f64, &[account_label(account)]);
    }

    /// Counts a watch that started (1) or ended (-1).
    pub fn watcher(&self, kind: &'static str, change: i64) {
        self.watchers.add(change, &[KeyValue::new("kind", kind)]);
    }

    /// Counts a call that started (1) or stopped (-1) waiting for an outcome.
    pub fn waiter(&self, change: i64) {
        self.waiters.add(change, &[]);
    }

    /// Counts a status check about a reference code that the store does not know.
    pub fn orphan_check(&self, account: &AccountName, result: &'static str) {
        let labels = [account_label(account), KeyValue::new("result", result)];
        self.orphan_checks.add(1, &labels);
    }

    /// Exports zeros for the checks of an account's orphans: an alert on the first one must see an
    /// increase.
    pub fn no_orphan_checks(&self, account: &AccountName) {
        for result in ["success", "pending"] {
            let labels = [account_label(account), KeyValue::new("result", result)];
            self.orphan_checks.add(0, &labels);
        }
    }

    /// Counts a text to the partner by its result.
    pub fn notice(&self, account: &AccountName, result: &'static str) {
        let labels = [account_label(account), KeyValue::new("result", result)];
        self.notices.add(1, &labels);
    }

    /// Records the delay with which a watcher of all transactions receives a change.
    pub fn watch_lag(&self, seconds: f64) {
        self.watch_lag.record(seconds.max(0.0), &[]);
    }

    /// Records a store call.
    pub fn store(&self, operation: &'static str, is_ok: bool, took: Duration) {
        let labels = [
            KeyValue::new("operation", operation),
            KeyValue::new("result", if is_ok { "ok" } else { "error" }),
        ];
        self.store.record(took.as_secs_f64(), &labels);
    }

    /// Records the health of the store.
    pub fn store_healthy(&self, is_healthy: bool) {
        self.store_healthy.record(u64::from(is_healthy), &[]);
    }

    /// Records the state of the failover guard.
    pub fn guard(&self, is_on: bool) {
        self.guard.record(u64::from(is_on), &[]);
    }

    /// Records the number of purchases that are queued or in flight, and the number in flight.
    pub fn queue(&self, waiting: usize, sending: usize) {
        self.queued.record(waiting as u64, &[]);
        self.sending.record(sending as u64, &[]);
    }
}

fn histogram(
    meter: &Meter,
    name: &'static str,
    about: &'static str,
    buckets: &[f64],
) -> Histogram<f64> {
    let histogram = meter.f64_histogram(name).with_unit("s");
    let histogram = histogram.with_boundaries(buckets.to_vec());
    histogram.with_description(about).build()
}

fn counter(meter: &Meter, name: &'static str, about: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(about).build()
}

fn gauge(meter: &Meter, name: &'static str, about: &'static str) -> Gauge<u64> {
    meter.u64_gauge(name).with_description(about).build()
}

fn level(meter: &Meter, name: &'static str, about: &'static str) -> UpDownCounter<i64> {
    let level = meter.i64_up_down_counter(name);
    level.with_description(about).build()
}

fn account_label(account: &AccountName) -> KeyValue {
    KeyValue::new("okebayar.account", account.to_string())
}

fn operation_label(operation: Operation) -> KeyValue {
    let name = match operation {
        Operation::PurchasePrepaid => "purchase_prepaid",
        Operation::PayPostpaid => "pay_postpaid",
    };
    KeyValue::new("okebayar.operation", name)
}
