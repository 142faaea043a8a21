//! The queue of reference codes of orphan callbacks that OKEBAYAR is to be asked about.

use tokio::sync::{Mutex, mpsc};

use crate::transaction::{AccountName, ReferenceCode};

/// How many wait to be asked about; further ones are not asked about.
const QUEUE_LEN_MAX: usize = 256;

/// A reference code that the store does not know, and at whose account's address the
/// callback came.
pub(super) type UnknownReference = (AccountName, ReferenceCode);

/// The queue of reference codes to be asked about.
pub struct OrphanQueue {
    pub(super) sender: mpsc::Sender<UnknownReference>,
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
