//! OKEBAYAR's callbacks: received over HTTP, stored before they are answered, and confirmed by a status
//! check (promises 7 and 12).

mod callback_recorder;
pub mod listener;
mod orphan_checks;
mod orphan_queue;
mod record;

pub use callback_recorder::CallbackRecorder;
pub use orphan_queue::OrphanQueue;
pub use record::Received;
