//! The OKEBAYAR gateway: internal services buy over gRPC, each reference code at most once. OKEBAYAR's
//! XML and JSON, signatures, time-outs and callbacks stay in here.
//!
//! The flow of a purchase, by room:
//!
//! ```text
//!  caller                                                              OKEBAYAR
//!    | gRPC                                                               |
//!  grpc --> purchase: admission --> claim --> store (SendPermit)          |
//!              |--> send --> okebayar/operations: POST ------------------>|
//!              |<-- okebayar/verdict <-- answer --------------------------|
//!              |--> outcome --> ledger: fold, compare-and-set, publish    |
//!    |<-- ledger: wait, watch                                             |
//!           callbacks: listener --> record --> ledger <-- HTTP callback --|
//!           checks: reconciler --> status_check --> okebayar/operations ->|
//! ```
//!
//! Each room may use its own row and the rows above it:
//!
//! | layer | room | job |
//! | --- | --- | --- |
//! | core | [`transaction`] | what a transaction is, and what evidence makes of it; pure |
//! | | [`store`] | the durable records, and the right to send |
//! | foundation | [`telemetry`] | traces, metrics and logs |
//! | | [`ambient`], [`http`] | time and randomness; bounded HTTP |
//! | upstream | [`okebayar`] | strict requests, tolerant answers, verdicts |
//! | rooms | [`accounts`] | the names, clients and call slots of the configured accounts |
//! | | [`ledger`] | load, save, publish; wait, watch, list |
//! | | [`notices`] | OKEBAYAR's texts, and orphan callbacks |
//! | | [`failover`] | the replication epoch, and what is quarantined after a loss |
//! | | [`inquiries`] | the records of inquiries: bindings, marks, bills |
//! | | [`sales`] | inquiries that OKEBAYAR answered like purchases |
//! | | [`purchase`] | admission, claim, POST, outcome |
//! | | [`checks`] | status checks, and resolution by an operator |
//! | | [`callbacks`] | OKEBAYAR's callbacks |
//! | | [`queries`] | inquiries, balance, echo |
//! | | [`retention`] | the records and lists that end, and the notes that must not |
//! | composition | [`config`], [`gateway`] | settings; the rooms of one gateway |
//! | edges | [`grpc`] | the contract, one file for each RPC |
//! | | [`admin`] | the admin port |
//! | stand-in | [`sandbox`] | an OKEBAYAR for development and tests |
//! | process | [`app`], [`cli`] | listeners, background tasks and shutdown; the command line |

pub mod accounts;
pub mod admin;
pub mod ambient;
pub mod app;
pub mod callbacks;
pub mod checks;
pub mod cli;
pub mod config;
pub mod failover;
pub mod gateway;
pub mod grpc;
pub mod http;
pub mod inquiries;
pub mod ledger;
pub mod notices;
pub mod okebayar;
pub mod purchase;
pub mod queries;
pub mod retention;
pub mod sales;
pub mod sandbox;
pub mod store;
pub mod telemetry;
pub mod transaction;
