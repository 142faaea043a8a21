//! Payments of bills: the binding of an inquiry, open payments, reused inquiry codes.

pub mod bill_rounds;
pub mod binding;
pub mod byte_fidelity;
pub mod open_payments;
pub mod payment;
pub mod payment_evidence;
pub mod payment_list;
pub mod reused_codes;
pub mod stated_total;
