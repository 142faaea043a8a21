//! The durable state of every transaction, and its readers.

pub mod feed;
pub mod gauges;
pub mod hub;
pub mod list;
pub mod places;
pub mod wait;
pub mod watch;
pub mod watch_all;

pub use list::{ListQuery, Page};
pub use wait::{Wait, WaitUntil};
pub use watch::{Watch, WatchError};
pub use watch_all::{WatchAll, WatchedAll};
