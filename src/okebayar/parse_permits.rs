//! The bound of answers that are parsed at once.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// How many answers are taken apart at once, which for that moment takes many times their
/// length.
const READ_AT_ONCE: usize = 4;

/// Permits to parse answers, one for each at a time. All accounts of a process share them: the
/// memory that answers take must not grow with the number of accounts.
#[derive(Clone, Debug)]
pub struct ParsePermits(pub(super) Arc<Semaphore>);

impl Default for ParsePermits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(READ_AT_ONCE)))
    }
}
