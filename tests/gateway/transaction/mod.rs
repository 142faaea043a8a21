//! The pure core, called as a library.

pub mod properties;
