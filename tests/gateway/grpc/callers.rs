//! The callers in Python and Node. Those in Go and Java need compilers: `make examples`.

use crate::{
    repository::documents::document,
    support::callers::{
        Caller, buys_and_replays, commands, explains_error_without_next_step,
        lists_watches_and_resumes, purchase_fails_without_service_config,
        purchase_survives_crash_during_post, purchase_waits_for_gateway, refunds_or_calls_again,
        restarts_from_printed_cursor, resumes_after_revision, watch_stops_without_cursor,
        watch_survives_interruptions,
    },
};

#[test]
fn readme_shows_the_commands_of_the_python_example() {
    let (prepare, program) = commands("examples/python");
    let shown = format!("cd examples/python\n{prepare}\n{program} buy localhost:50051 ");
    assert!(document("README.md").contains(&shown), "{shown}");
}

macro_rules! callers {
    ($($language:ident),*) => {
        $(mod $language {
            use super::*;

            async fn caller() -> Caller {
                Caller::prepared(stringify!($language)).await
            }

            #[tokio::test]
            async fn example_buys_replays_and_follows() {
                buys_and_replays(&caller().await).await;
            }

            #[tokio::test]
            async fn example_follows_purchase_over_crash_of_gateway() {
                resumes_after_revision(&caller().await).await;
            }

            #[tokio::test]
            async fn example_lists_and_watches_over_crash_of_gateway() {
                lists_watches_and_resumes(&caller().await).await;
            }

            #[tokio::test]
            async fn example_restarts_from_cursor_after_listing() {
                restarts_from_printed_cursor(&caller().await).await;
            }

            #[tokio::test]
            async fn example_watches_through_every_interruption() {
                watch_survives_interruptions(&caller().await).await;
            }

            #[tokio::test]
            async fn example_stops_if_gateway_returns_no_cursor() {
                watch_stops_without_cursor(&caller().await).await;
            }

            #[tokio::test]
            async fn example_refunds_only_if_it_does_not_call_again() {
                refunds_or_calls_again(&caller().await).await;
            }

            #[tokio::test]
            async fn example_explains_error_without_next_step_by_code() {
                explains_error_without_next_step(&caller().await).await;
            }

            #[tokio::test]
            async fn service_config_waits_for_gateway_that_starts() {
                purchase_waits_for_gateway(&caller().await).await;
            }

            #[tokio::test]
            async fn service_config_repeats_purchase_whose_gateway_was_killed() {
                purchase_survives_crash_during_post(&caller().await).await;
            }

            #[tokio::test]
            async fn purchase_is_not_repeated_without_service_config() {
                let caller = caller().await.without_retries();
                purchase_fails_without_service_config(&caller).await;
            }
        })*
    };
}

callers!(python, node);
