//! An OKEBAYAR of its own, built after the API page, because the real one cannot
//! be reached: signature and parameter checks, a deposit, trace codes, 208, status
//! checks, callbacks, and misbehaviour chosen by account number.
//!
//! It never uses `okebayar/`: a bug shared by both sides would cancel out.

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
