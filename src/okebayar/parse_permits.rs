//! The bound on answers that are parsed concurrently.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// The number of answers that are parsed concurrently. While it is parsed, an answer takes many
/// times its length.
const PARSED_MAX: usize = 4;

/// The permits to parse answers. All accounts of a process share them, so that the memory that
/// answers take does not grow with the number of accounts.
#[derive(Clone, Debug)]
pub struct ParsePermits(pub(super) Arc<Semaphore>);

impl Default for ParsePermits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PARSED_MAX)))
    }
}
