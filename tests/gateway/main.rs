//! Drives the built program through its wires: gRPC, HTTP, signals, real Redis.
//! Only the store's contract, the codecs and the fold are called as a library.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

mod abandonment;
mod account_names;
mod accounts;
mod amounts;
mod answers;
mod bill_rounds;
mod bills;
mod call;
mod callbacks;
mod chart;
mod checks;
mod clients;
mod codes;
mod commands;
mod configuration;
mod connections;
mod crash;
mod duplicates;
mod embedded_file;
mod engine_faults;
mod formats;
mod forms;
mod fuzz_corpus;
mod golden;
mod guard;
mod inquiries;
mod late_send;
mod letters;
mod limits;
mod lists;
mod members;
mod orphans;
mod outcomes;
mod payments;
mod properties;
mod purchase;
mod queries;
mod reconciler;
mod reference_codes;
mod refused;
mod replicas;
mod review;
mod rolling_records;
mod rounds;
mod sandbox;
mod scenarios;
mod secrets;
mod sent;
mod shutdown;
mod sold;
mod store_connection;
mod store_contract;
mod store_history;
mod store_went_back;
mod telemetry;
mod traces;
mod unsent;
mod upstream;
mod verdicts;
mod watch;
mod watch_all;
mod watch_load;
