//! OKEBAYAR's texts and orphan callbacks.

pub mod keeper;
pub mod orphans;
pub mod texts;
