//! The sandbox's books: products, the deposit, every purchase, and the ledger
//! that tests read.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::watch;

use super::scenario::Script;

/// The products and their prices in rupiah.
pub const PRODUCTS: [(&str, u64); 5] = [
    ("PULSA5", 5_750),
    ("PULSA10", 10_500),
    ("PULSA100", 98_250),
    ("DATA1GB", 14_900),
    ("HPLNPRA20", 20_250),
];

/// One purchase that was accepted or declined under its own reference code.
#[derive(Clone)]
pub struct Purchase {
    /// The trace code of its POST.
    pub trace_code: String,
    /// The product.
    pub product_code: String,
    /// Who receives it.
    pub account_number: String,
    /// The price in rupiah.
    pub price: u64,
    /// The status now.
    pub status: u16,
    /// What happens to it.
    pub script: Script,
    /// The deposit after it, in rupiah.
    pub balance: u64,
}

/// What was seen of one reference code.
#[derive(Clone, Default, Serialize)]
pub struct Entry {
    /// POSTs of purchases received.
    pub received: u64,
    /// Purchases for which the deposit was charged.
    pub executed: u64,
    /// Status checks received.
    pub checks: u64,
    /// Callbacks sent.
    pub callbacks: u64,
}

#[derive(Default)]
struct Books {
    deposit: u64,
    purchases: HashMap<String, Vec<Purchase>>,
    ledger: HashMap<String, Entry>,
}

/// Everything that the sandbox remembers.
pub struct Book {
    books: Mutex<Books>,
    changes: watch::Sender<u64>,
}

/// What became of a purchase that is well formed.
pub enum Booked {
    /// It is new.
    New(Purchase),
    /// The same was bought under the same reference code.
    Duplicate,
    /// The deposit does not suffice.
    DepositExhausted,
}

/// A purchase to book.
pub struct Order<'a> {
    /// The partner's id.
    pub reference_code: &'a str,
    /// The trace code of this hit.
    pub trace_code: &'a str,
    /// The product.
    pub product_code: &'a str,
    /// Its price in rupiah.
    pub price: u64,
    /// Who receives it.
    pub account_number: &'a str,
    /// What happens to it.
    pub script: Script,
}

impl Book {
    /// Books with this deposit, in rupiah.
    #[must_use]
    pub fn new(deposit: u64) -> Self {
        Self {
            books: Mutex::new(Books {
                deposit,
                ..Books::default()
            }),
            changes: watch::Sender::new(0),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, reference_code: &str, change: impl FnOnce(&mut Entry)) {
        change(
            self.books()
                .ledger
                .entry(reference_code.to_owned())
                .or_default(),
        );
        self.changes.send_modify(|count| *count += 1);
    }

    /// Notes that a purchase was received.
    pub fn received(&self, reference_code: &str) {
        self.entry(reference_code, |entry| entry.received += 1);
    }

    /// Notes that a check was received.
    pub fn checked(&self, reference_code: &str) {
        self.entry(reference_code, |entry| entry.checks += 1);
    }

    /// Notes that a callback was sent.
    pub fn called_back(&self, reference_code: &str) {
        self.entry(reference_code, |entry| entry.callbacks += 1);
    }

    /// Books a purchase. Two are the same when account number, amount and
    /// reference code are (code 208); another one under the same reference code
    /// is a purchase of its own.
    pub fn order(&self, order: &Order<'_>) -> Booked {
        let purchase = {
            let mut books = self.books();
            let known = books.purchases.get(order.reference_code);
            let same = |known: &Purchase| {
                known.account_number == order.account_number && known.price == order.price
            };
            if known.is_some_and(|known| known.iter().any(same)) {
                return Booked::Duplicate;
            }
            let charged = if order.script.charges() {
                order.price
            } else {
                0
            };
            let Some(deposit) = books.deposit.checked_sub(charged) else {
                return Booked::DepositExhausted;
            };
            books.deposit = deposit;
            let purchase = Purchase {
                trace_code: order.trace_code.to_owned(),
                product_code: order.product_code.to_owned(),
                account_number: order.account_number.to_owned(),
                price: order.price,
                status: order.script.first,
                script: order.script,
                balance: deposit,
            };
            let reference_code = order.reference_code.to_owned();
            books
                .purchases
                .entry(reference_code)
                .or_default()
                .push(purchase.clone());
            purchase
        };
        if order.script.charges() {
            self.entry(order.reference_code, |entry| entry.executed += 1);
        }
        Booked::New(purchase)
    }

    /// Gives a purchase its later status.
    pub fn settle(&self, reference_code: &str, trace_code: &str) {
        let mut books = self.books();
        let purchases = books
            .purchases
            .entry(reference_code.to_owned())
            .or_default();
        for purchase in purchases
            .iter_mut()
            .filter(|known| known.trace_code == trace_code)
        {
            purchase.status = purchase.script.last();
        }
    }

    /// The latest purchase under a reference code, or with a trace code.
    pub fn find(&self, reference_code: &str, trace_code: Option<&str>) -> Option<Purchase> {
        let books = self.books();
        let purchases = books.purchases.get(reference_code)?;
        let named = purchases
            .iter()
            .find(|known| Some(known.trace_code.as_str()) == trace_code);
        named.or(purchases.last()).cloned()
    }

    /// The deposit left, in rupiah.
    pub fn deposit(&self) -> u64 {
        self.books().deposit
    }

    /// What was seen of a reference code.
    pub fn read(&self, reference_code: &str) -> Entry {
        self.books()
            .ledger
            .get(reference_code)
            .cloned()
            .unwrap_or_default()
    }

    /// What was seen of every reference code.
    pub fn read_all(&self) -> HashMap<String, Entry> {
        self.books().ledger.clone()
    }

    /// Waits until `enough` says so of a reference code.
    pub async fn wait(&self, reference_code: &str, enough: impl Fn(&Entry) -> bool) -> Entry {
        let mut changes = self.changes.subscribe();
        loop {
            let entry = self.read(reference_code);
            if enough(&entry) || changes.changed().await.is_err() {
                return entry;
            }
        }
    }
}
