//! OKEBAYAR's callbacks: received over HTTP, stored before the response, and confirmed by a status
//! check (promises 7 and 12).
//!
//! | file | holds |
//! | --- | --- |
//! | [`listener`] | the HTTP routes, authentication and responses |
//! | `settings` | the settings of the listener, which `config` reads |
//! | `sender` | the sender's address through trusted proxies |
//! | `report_reader` | reading and parsing of a body or query |
//! | `rejection` | the reasons for rejecting a callback |
//! | `record` | storing a callback with its transaction, or as an orphan |
//! | `orphan_checks` | status checks of unknown reference codes |

mod callback_recorder;
pub mod listener;
mod orphan_checks;
mod orphan_queue;
mod record;
mod rejection;
mod report_reader;
mod sender;
mod settings;

pub use callback_recorder::CallbackRecorder;
pub use orphan_queue::OrphanQueue;
pub use record::CallbackOutcome;
pub use settings::{CallbackSettings, is_too_wide};
