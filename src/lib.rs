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
//! | [`sandbox`] | an OKEBAYAR of our own |
//! | [`cli`], [`guard`] | the command line; the operator's switch of the failover guard |

pub mod admin;
pub mod ambient;
pub mod app;
pub mod callback;
pub mod census;
pub mod cli;
pub mod config;
pub mod engine;
pub mod events;
pub mod grpc;
pub mod guard;
pub mod http;
pub mod notices;
pub mod okebayar;
pub mod reconciler;
pub mod sandbox;
pub mod store;
pub mod telemetry;
pub mod transaction;
