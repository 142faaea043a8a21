//! The sandbox: its validation and its scenarios.

pub mod scenarios;
pub mod validation;
