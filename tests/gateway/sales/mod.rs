//! Inquiries that OKEBAYAR answers like a purchase.

pub mod inquiry_sales;
pub mod store_faults;
