//! The OKEBAYAR gateway: internal services buy over gRPC, each reference code at
//! most once; OKEBAYAR's XML or JSON, signatures, time-outs and callbacks stay
//! here.
//!
//! The flow of a purchase, by file:
//!
//! ```text
//!  caller                                                              OKEBAYAR
//!    | gRPC                                                               |
//!  grpc/transactions --> engine/purchase --> store: claim (SendPermit)    |
//!                             |---------> okebayar/client: POST --------->|
//!                             |<--------- okebayar/verdict <-- answer ----|
//!                             |--> transaction: observe, fold             |
//!                             |--> store: commit (record, event, due)     |
//!    |<-- engine/wait <-- events                                          |
//!    |<-- engine/watch <-- events                                         |
//!                             |<-- callback <-- HTTP callback ------------|
//!    reconciler --> engine/check --> okebayar/client: status check ------>|
//! ```
//!
//! | module | what it is |
//! | --- | --- |
//! | [`transaction`] | PURE: states, evidence, the fold, the check schedule |
//! | [`okebayar`] | OUTBOUND: requests strict, answers tolerant, verdicts |
//! | [`store`] | the contract, the right to send, `redb` and `redis` |
//! | [`engine`] | SHELL: claim, send, fold, compare-and-save, publish |
//! | [`events`], [`reconciler`], [`notices`] | changes to waiters; due transactions to checks; texts to the inbox |
//! | [`grpc`], [`callback`] | INBOUND: the contract, and OKEBAYAR's callbacks |
//! | [`config`], [`app`], [`ambient`] | settings, composition, time and randomness |
//! | [`telemetry`], [`census`], [`admin`] | what is measured, counted and shown to operators |
//! | [`sandbox`], [`dev`] | an OKEBAYAR of our own, and the first purchase |
//! | [`call`], [`guard`], [`store_command`] | the gateway's own client; the operator's switch of the failover guard; a changed user id |

pub mod accounts;
pub mod admin;
pub mod ambient;
pub mod app;
pub mod call;
pub mod callbacks;
pub mod checks;
pub mod config;
pub mod dev;
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
pub mod sales;
pub mod sandbox;
pub mod store;
pub mod store_command;
pub mod telemetry;
pub mod transaction;
