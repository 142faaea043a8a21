//! Purchases and payments.

pub mod abandonment;
pub mod bill_payments;
pub mod claim;
pub mod claims;
pub mod order;

pub use claim::{Holder, Purchase, PurchaseError, Sent};
