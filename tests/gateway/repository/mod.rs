//! The repository itself: its documents and its sources.

pub mod documents;
pub mod sources;
