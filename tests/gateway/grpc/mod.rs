//! The gRPC surface: requests that no handler sees, and callers in other languages.

pub mod readme_clients;
pub mod service_config;
pub mod unreadable_requests;
