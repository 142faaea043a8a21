//! The records of inquiries.

pub mod notes;
