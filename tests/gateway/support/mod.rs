//! Helpers for all tests: processes, ports, the world around a gateway, and calls.

pub mod accounts;
pub mod acl;
pub mod bench;
pub mod bills;
pub mod callbacks;
pub mod callers;
pub mod calls;
pub mod core;
pub mod dice;
pub mod duplicates;
pub mod evidence;
pub mod failover;
pub mod fake_okebayar;
pub mod faulty_store;
pub mod gateway;
pub mod link;
pub mod metrics;
pub mod payments;
pub mod poll;
pub mod ports;
pub mod process;
pub mod redis;
pub mod redis_cluster;
pub mod samples;
pub mod scripted_okebayar;
pub mod sentinels;
pub mod settled;
pub mod store_command;
pub mod stored_bytes;
pub mod tls;
pub mod topologies;
pub mod verdicts;
pub mod watch;
pub mod world;

/// Runs one test on both stores.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod on_embedded {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::support::world::StoreKind::Embedded).await;
            })*
        }
        mod on_redis {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::support::world::StoreKind::Redis).await;
            })*
        }
    };
}
pub(crate) use on_both_stores;
