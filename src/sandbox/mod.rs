//! A simulator of OKEBAYAR, written from docs/OKEBAYAR.md because the real service has no test
//! environment that we can reach. It verifies signatures and parameters, keeps a deposit, assigns
//! trace codes, rejects duplicates (208), answers status checks, sends callbacks, and misbehaves
//! in ways that the account number selects.
//!
//! The sandbox never uses `okebayar/`: a bug shared by both sides would cancel out.

mod answer;
mod api;
mod bill;
mod billing;
mod book;
mod callback;
mod check;
mod codes;
mod control;
mod format;
mod inquiry;
mod issued_inquiry;
mod ledger;
mod misprint;
mod order;
mod parameters;
mod payment;
mod purchase;
mod samples;
pub mod scenario;
mod server;
mod settings;
mod state;

pub use self::{
    bill::BILLERS,
    book::PRODUCTS,
    settings::{CallbackMethod, SandboxSettings},
    state::Sandbox,
};
