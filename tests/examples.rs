//! The callers in Go and Java, compiled with Debian's packages: `make examples`.
//!
//! Not part of the ordinary tests: their first command installs compilers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "the support is shared"
)]

#[path = "gateway/support/mod.rs"]
mod support;

use support::callers::{
    Caller, buys_and_replays, explains_error_without_next_step, lists_watches_and_resumes,
    purchase_survives_crash_during_post, purchase_waits_for_gateway, refunds_or_calls_again,
    restarts_from_printed_cursor, resumes_after_revision, watch_stops_without_cursor,
    watch_survives_interruptions,
};

async fn masters_every_scenario(language: &str) {
    let caller = Caller::prepared(language).await;
    tokio::join!(
        Box::pin(buys_and_replays(&caller)),
        Box::pin(resumes_after_revision(&caller)),
        Box::pin(lists_watches_and_resumes(&caller)),
        Box::pin(restarts_from_printed_cursor(&caller)),
        Box::pin(watch_survives_interruptions(&caller)),
        Box::pin(watch_stops_without_cursor(&caller)),
        Box::pin(refunds_or_calls_again(&caller)),
        Box::pin(explains_error_without_next_step(&caller)),
        Box::pin(purchase_waits_for_gateway(&caller)),
        Box::pin(purchase_survives_crash_during_post(&caller)),
    );
}

#[tokio::test]
async fn go_example_masters_every_scenario() {
    masters_every_scenario("go").await;
}

#[tokio::test]
async fn java_example_masters_every_scenario() {
    masters_every_scenario("java").await;
}
