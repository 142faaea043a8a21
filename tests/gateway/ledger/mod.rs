//! The ledger as callers read it: watch, watch all, list, their limits and times, and a rolled back store.

pub mod list_filters;
pub mod list_pages;
pub mod list_then_watch;
pub mod lists;
pub mod own_notifications;
pub mod store_rollback;
pub mod watch;
pub mod watch_all;
pub mod watch_load;
pub mod watch_times;
pub mod watcher_limits;
