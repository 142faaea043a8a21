//! The bound on concurrent calls to OKEBAYAR.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// A bound on concurrent calls to OKEBAYAR. Purchases and queries share the slots; status checks
/// have slots of their own.
pub struct CallSlots {
    slots: Semaphore,
    count: usize,
    wait_max: Duration,
}

impl CallSlots {
    /// Builds `count` slots; `wait_max` is the longest time that a call waits for one.
    #[must_use]
    pub fn new(count: usize, wait_max: Duration) -> Self {
        Self {
            slots: Semaphore::new(count),
            count,
            wait_max,
        }
    }

    /// Returns the number of slots in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.count - self.slots.available_permits()
    }

    /// Acquires a slot without waiting; `None` when none is free.
    #[must_use]
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.try_acquire().ok()
    }

    /// Acquires a slot before `deadline`; `None` when none becomes free in time.
    pub async fn acquire_before(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        let acquiring = tokio::time::timeout_at(deadline, self.slots.acquire());
        acquiring.await.ok()?.ok()
    }

    /// Acquires a slot within [`Self::wait_max`]; `None` when none becomes free in time.
    pub async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.acquire_before(Instant::now() + self.wait_max).await
    }

    /// Returns the longest time that a call waits for a slot.
    #[must_use]
    pub fn wait_max(&self) -> Duration {
        self.wait_max
    }
}
