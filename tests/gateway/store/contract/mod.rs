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
mod retirement;

/// Runs tests on every kind of store: the embedded one, one Redis, and a cluster of three servers.
macro_rules! on_each_store {
    ($($name:ident),* $(,)?) => {
        crate::support::on_both_stores! { $($name),* }
        mod on_cluster {
            $(#[tokio::test]
            async fn $name() {
                let kind = crate::support::world::StoreKind::Redis;
                crate::store::contract::opened::on_a_cluster(super::$name(kind)).await;
            })*
        }
    };
}
use on_each_store;

pub use opened::{
    LONG, account, check_of, done, due, identity, lease, next, open, open_redb, open_redis,
    pending, redis_settings,
};
