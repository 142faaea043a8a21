//! The inquiries under callers' reference codes that this process has in flight.
//!
//! A caller whose deadline expired inquires again while its first inquiry is in flight, and
//! OKEBAYAR may answer the second one "duplicate" (208). Only the end of the first inquiry shows
//! whether that is a sign of a sale.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::transaction::TransactionKey;

/// The number of inquiries in flight under each reference code.
#[derive(Clone, Default)]
pub struct InquiriesInFlight {
    counts: Arc<Mutex<BTreeMap<TransactionKey, usize>>>,
    ended: Arc<Notify>,
}

/// An inquiry in flight. Dropping it ends the inquiry.
pub(super) struct InquiryInFlight {
    inquiries: InquiriesInFlight,
    key: TransactionKey,
}

impl InquiriesInFlight {
    /// Begins an inquiry, before its mark is stored. The inquiry must end after its answer is
    /// stored.
    pub(super) fn begin(&self, key: &TransactionKey) -> InquiryInFlight {
        *self.lock().entry(key.clone()).or_default() += 1;
        InquiryInFlight {
            inquiries: self.clone(),
            key: key.clone(),
        }
    }

    /// Waits until no inquiry under the reference code is in flight, for at most `timeout`.
    pub(super) async fn wait_for_end(&self, key: &TransactionKey, timeout: Duration) {
        let ending = async {
            loop {
                // Subscribed before the count is read, so that no end in between is missed.
                let mut ended = std::pin::pin!(self.ended.notified());
                ended.as_mut().enable();
                if !self.lock().contains_key(key) {
                    break;
                }
                ended.await;
            }
        };
        // After the time-out, the caller reads the marks as they are.
        let _ = tokio::time::timeout(timeout, ending).await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TransactionKey, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InquiryInFlight {
    fn drop(&mut self) {
        let mut counts = self.inquiries.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
        drop(counts);
        self.inquiries.ended.notify_waiters();
    }
}
