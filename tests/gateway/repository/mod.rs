//! The repository itself: its documents and its sources.

mod api_page;
pub mod contract;
pub mod documents;
mod errors_page;
pub mod generated_documents;
mod markdown;
pub mod sources;
