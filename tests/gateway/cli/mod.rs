//! The command line.

pub mod call;
pub mod commands;
pub mod completions;
