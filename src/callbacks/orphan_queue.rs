//! The queue of unknown reference codes that await a status check.

use tokio::sync::{Mutex, mpsc};

use crate::transaction::{AccountName, ReferenceCode};

/// The number of reference codes that may wait; further ones are dropped without a check.
const QUEUE_LEN_MAX: usize = 256;

/// An unknown reference code, and the account whose address received the callback.
pub(super) type UnknownReference = (AccountName, ReferenceCode);

/// The queue of unknown reference codes that await a status check.
pub struct OrphanQueue {
    /// The end for callbacks, which never waits.
    pub(super) sender: mpsc::Sender<UnknownReference>,
    /// The end for the one task that makes the checks.
    pub(super) receiver: Mutex<mpsc::Receiver<UnknownReference>>,
}

impl Default for OrphanQueue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_LEN_MAX);
        Self {
            sender,
            receiver: Mutex::new(receiver),
        }
    }
}
