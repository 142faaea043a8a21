//! The command line of the program.

pub mod call;
pub mod dev;
pub mod store;
