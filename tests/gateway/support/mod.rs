//! What tests share: processes, ports, and the world around a gateway.

pub mod core;
pub mod metrics;
pub mod ports;
pub mod process;
pub mod redis;
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
