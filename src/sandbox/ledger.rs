//! The ledger that tests read: what was seen of each reference code.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::watch;

/// What was seen of one reference code.
#[derive(Clone, Default, Serialize)]
pub struct SandboxLedgerEntry {
    /// POSTs of purchases and payments received.
    pub received: u64,
    /// Purchases and payments for which the deposit was charged.
    pub executed: u64,
    /// Status checks received.
    pub checks: u64,
    /// Of these, the ones that came while a purchase or payment was being answered.
    pub checks_in_flight: u64,
    /// Purchases and payments that are being answered now.
    pub in_flight: u64,
    /// The most status checks that were being answered at the same time.
    pub checks_at_once: u64,
    /// Callbacks sent.
    pub callbacks: u64,
    /// The parameters of the last purchase or payment, without secrets.
    pub parameters: BTreeMap<String, String>,
}

#[derive(Default)]
struct Entries {
    by_reference_code: HashMap<String, SandboxLedgerEntry>,
    /// Reference code to the number of status checks that are being answered.
    checking: HashMap<String, u64>,
}

/// What was seen of every reference code.
pub struct SandboxLedger {
    entries: Mutex<Entries>,
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
    fn entries(&self) -> MutexGuard<'_, Entries> {
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

    /// Notes that a purchase or payment was received.
    pub fn received(&self, reference_code: &str, parameters: BTreeMap<String, String>) {
        self.entry(reference_code, |entry| {
            entry.received += 1;
            entry.in_flight += 1;
            entry.parameters = parameters;
        });
    }

    /// Notes that a check was received.
    pub fn checked(&self, reference_code: &str) {
        self.entry(reference_code, |entry| {
            entry.checks += 1;
            entry.checks_in_flight += u64::from(entry.in_flight > 0);
        });
    }

    /// Notes that a purchase or payment is answered, or that nobody waits for that.
    pub fn answered(&self, reference_code: &str) {
        self.entry(reference_code, |entry| {
            entry.in_flight = entry.in_flight.saturating_sub(1);
        });
    }

    /// Notes that a check is being answered.
    pub fn check_begins(&self, reference_code: &str) {
        let at_once = {
            let mut entries = self.entries();
            let checking = entries.checking.entry(reference_code.to_owned());
            *checking.and_modify(|count| *count += 1).or_insert(1)
        };
        self.entry(reference_code, |entry| {
            entry.checks_at_once = entry.checks_at_once.max(at_once);
        });
    }

    /// Notes that a check was answered, or that its asker has gone.
    pub fn check_ends(&self, reference_code: &str) {
        let mut entries = self.entries();
        if let Some(count) = entries.checking.get_mut(reference_code) {
            *count -= 1;
            if *count == 0 {
                entries.checking.remove(reference_code);
            }
        }
    }

    /// Notes that a callback was sent.
    pub fn called_back(&self, reference_code: &str) {
        self.entry(reference_code, |entry| entry.callbacks += 1);
    }

    /// What was seen of a reference code.
    pub fn read(&self, reference_code: &str) -> SandboxLedgerEntry {
        self.entries()
            .by_reference_code
            .get(reference_code)
            .cloned()
            .unwrap_or_default()
    }

    /// What was seen of every reference code.
    pub fn read_all(&self) -> HashMap<String, SandboxLedgerEntry> {
        self.entries().by_reference_code.clone()
    }

    /// Waits until `enough` says so of a reference code.
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

    /// Notes that the deposit was charged.
    pub fn executed(&self, reference_code: &str) {
        self.entry(reference_code, |entry| entry.executed += 1);
    }
}
