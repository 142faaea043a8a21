//! The possible sales that this process has received and not stored yet.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::note::Sold;

/// The possible sales that are not stored yet, by a number of their own.
#[derive(Clone, Default)]
pub struct UnstoredSales(Arc<Mutex<(u64, BTreeMap<u64, Entry>)>>);

/// The entry of an unstored sale.
struct Entry {
    sold: Sold,
    reference_code: String,
}

/// A possible sale that is not stored yet. Purchases of the same product and recipient are refused
/// while this exists.
pub struct UnstoredSale {
    sales: UnstoredSales,
    number: u64,
}

impl UnstoredSales {
    /// Registers a sale.
    pub(super) fn begin(&self, sold: Sold, reference_code: &str) -> UnstoredSale {
        let mut sales = self.lock();
        sales.0 += 1;
        let number = sales.0;
        let entry = Entry {
            sold,
            reference_code: reference_code.to_owned(),
        };
        sales.1.insert(number, entry);
        UnstoredSale {
            sales: self.clone(),
            number,
        }
    }

    /// Returns the reference code of an unstored sale of this product and recipient.
    pub(super) fn find(&self, sold: &Sold) -> Option<String> {
        let sales = self.lock();
        let found = sales.1.values().find(|sale| sale.sold == *sold);
        found.map(|sale| sale.reference_code.clone())
    }

    /// Returns the number of sales that were registered so far.
    pub(super) fn begun(&self) -> u64 {
        self.lock().0
    }

    /// Locks the last number and the entries.
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Entry>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnstoredSale {
    fn drop(&mut self) {
        self.sales.lock().1.remove(&self.number);
    }
}
