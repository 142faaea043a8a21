//! The gRPC surface: requests that no handler sees, what a client repeats, and callers in other
//! languages.

pub mod callers;
pub mod service_config;
pub mod unreadable_requests;
