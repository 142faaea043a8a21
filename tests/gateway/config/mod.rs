//! The configuration and its validation.

pub mod validation;
