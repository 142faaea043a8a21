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
mod inquiry;
mod misprint;
pub mod scenario;
mod server;
mod state;

pub use self::{
    bill::BILLERS,
    book::PRODUCTS,
    state::{CallbackMethod, Sandbox, SandboxSettings},
};
