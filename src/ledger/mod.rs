//! The stored transactions: load, compare-and-set, waits, watches and lists.

mod commits_in_flight;
mod due_soon;
mod event_reader;
mod feed;
pub mod gauges;
pub mod hub;
mod list;
mod price_notes;
mod prices;
mod reader_limits;
mod records;
mod wait;
mod watch;
mod watch_all;
mod watch_timer;

pub use hub::Subscription;
pub use list::{FoundTransaction, ListQuery, Page};
pub use reader_limits::Waiter;
pub use records::{Ledger, LedgerLimits};
pub use wait::{Wait, WaitUntil, Waited, leave_before};
pub use watch::{Watch, WatchError, Watched};
pub use watch_all::{WatchAll, WatchFilter, WatchedAll};
pub use watch_timer::WatchTimes;
