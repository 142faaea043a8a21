//! Drives the built program through its wires: gRPC, HTTP, signals, real Redis.
//! Only the store's contract, the codecs and the fold are called as a library.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

mod abandonment;
mod accounts;
mod call;
mod callbacks;
mod chart;
mod checks;
mod clients;
mod codes;
mod commands;
mod connections;
mod crash;
mod duplicates;
mod engine_faults;
mod formats;
mod fuzz_corpus;
mod golden;
mod guard;
mod inquiries;
mod lists;
mod outcomes;
mod payments;
mod properties;
mod purchase;
mod queries;
mod reconciler;
mod replicas;
mod review;
mod sandbox;
mod scenarios;
mod shutdown;
mod store_contract;
mod store_history;
mod telemetry;
mod traces;
mod unsent;
mod upstream;
mod watch;
mod watch_all;
