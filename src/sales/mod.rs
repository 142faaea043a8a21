//! Inquiries that OKEBAYAR answered like purchases.

pub mod guard;
pub mod keep;
pub mod note;

pub use keep::{Kept, Sale};
