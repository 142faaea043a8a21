//! Payments of bills: the binding of an inquiry, open payments, reused inquiry codes.

pub mod bill_rounds;
pub mod byte_fidelity;
pub mod open_payments;
pub mod payment;
