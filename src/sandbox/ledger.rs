//! The ledger that tests read: the calls observed under each reference code.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::watch;

/// The calls observed under one reference code.
#[derive(Clone, Default, Serialize)]
pub struct SandboxLedgerEntry {
    /// The purchases and payments received.
    pub received: u64,
    /// The purchases and payments that charged the deposit.
    pub executed: u64,
    /// The status checks received.
    pub checks: u64,
    /// The status checks received while a purchase or payment was in flight.
    pub checks_in_flight: u64,
    /// The purchases and payments in flight now.
    pub in_flight: u64,
    /// The maximum number of concurrent status checks.
    pub checks_at_once: u64,
    /// The callbacks sent.
    pub callbacks: u64,
    /// The parameters of the last purchase or payment, without secrets.
    pub parameters: BTreeMap<String, String>,
}

#[derive(Default)]
struct LedgerEntries {
    by_reference_code: HashMap<String, SandboxLedgerEntry>,
    /// The number of status checks in flight, by reference code.
    checking: HashMap<String, u64>,
}

/// The entries of all reference codes.
pub struct SandboxLedger {
    entries: Mutex<LedgerEntries>,
    changes: watch::Sender<u64>,
}

impl Default for SandboxLedger {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl SandboxLedger {
    fn entries(&self) -> MutexGuard<'_, LedgerEntries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, reference_code: &str, change: impl FnOnce(&mut SandboxLedgerEntry)) {
        change(
            self.entries()
                .by_reference_code
                .entry(reference_code.to_owned())
                .or_default(),
        );
        self.changes.send_modify(|count| *count += 1);
    }

    /// Records a purchase or payment that was received and is now in flight.
    pub fn record_order(&self, reference_code: &str, parameters: BTreeMap<String, String>) {
        self.entry(reference_code, |entry| {
            entry.received += 1;
            entry.in_flight += 1;
            entry.parameters = parameters;
        });
    }

    /// Records a status check that was received.
    pub fn record_check(&self, reference_code: &str) {
        self.entry(reference_code, |entry| {
            entry.checks += 1;
            entry.checks_in_flight += u64::from(entry.in_flight > 0);
        });
    }

    /// Records the end of a purchase or payment: it was answered, or its client disconnected.
    pub fn finish_order(&self, reference_code: &str) {
        self.entry(reference_code, |entry| {
            entry.in_flight = entry.in_flight.saturating_sub(1);
        });
    }

    /// Records the start of a status check.
    pub fn begin_check(&self, reference_code: &str) {
        let at_once = {
            let mut entries = self.entries();
            let checking = entries.checking.entry(reference_code.to_owned());
            *checking.and_modify(|count| *count += 1).or_insert(1)
        };
        self.entry(reference_code, |entry| {
            entry.checks_at_once = entry.checks_at_once.max(at_once);
        });
    }

    /// Records the end of a status check: it was answered, or its client disconnected.
    pub fn end_check(&self, reference_code: &str) {
        let mut entries = self.entries();
        if let Some(count) = entries.checking.get_mut(reference_code) {
            *count -= 1;
            if *count == 0 {
                entries.checking.remove(reference_code);
            }
        }
    }

    /// Records a callback that was sent.
    pub fn record_callback(&self, reference_code: &str) {
        self.entry(reference_code, |entry| entry.callbacks += 1);
    }

    /// Returns the entry of a reference code.
    pub fn read(&self, reference_code: &str) -> SandboxLedgerEntry {
        self.entries()
            .by_reference_code
            .get(reference_code)
            .cloned()
            .unwrap_or_default()
    }

    /// Returns all entries by reference code.
    pub fn read_all(&self) -> HashMap<String, SandboxLedgerEntry> {
        self.entries().by_reference_code.clone()
    }

    /// Waits until `enough` accepts the entry of a reference code, and returns that entry.
    pub async fn wait(
        &self,
        reference_code: &str,
        enough: impl Fn(&SandboxLedgerEntry) -> bool,
    ) -> SandboxLedgerEntry {
        let mut changes = self.changes.subscribe();
        loop {
            let entry = self.read(reference_code);
            if enough(&entry) || changes.changed().await.is_err() {
                return entry;
            }
        }
    }

    /// Records a charge of the deposit.
    pub fn record_charge(&self, reference_code: &str) {
        self.entry(reference_code, |entry| entry.executed += 1);
    }
}
