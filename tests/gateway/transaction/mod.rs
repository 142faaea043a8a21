//! The pure core, called as a library.

pub mod attempts;
pub mod doubtful_checks;
pub mod erasure;
pub mod evidence;
pub mod resolution;
pub mod schedule;
