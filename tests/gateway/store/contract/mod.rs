//! One suite for every store: the contract of `Store`, stated at the head of
//! `src/store/mod.rs`, one file for each subject.

mod commit;
mod due;
mod events;
mod failures;
mod layout;
mod listing;
mod notes;
mod notification;
mod opened;

pub use opened::{
    LONG, account, check_of, done, due, identity, lease, next, open, open_redb, open_redis, pending,
};
