//! Tests that drive the built program through its interfaces: gRPC, HTTP, signals, real Redis. Only
//! the store's contract, the codecs and the pure core are called as a library.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

mod accounts;
mod app;
mod callbacks;
mod checks;
mod cli;
mod config;
mod deployment;
mod failover;
mod grpc;
mod inquiries;
mod ledger;
mod notices;
mod okebayar;
mod purchase;
mod queries;
mod repository;
mod retention;
mod sales;
mod sandbox;
mod store;
mod telemetry;
mod topologies;
mod transaction;
