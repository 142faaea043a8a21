//! The configured OKEBAYAR accounts: names, clients, and the bound on concurrent calls.

mod directory;
mod slots;
mod upstreams;

pub use directory::AccountDirectory;
pub use slots::CallSlots;
pub use upstreams::{Upstream, Upstreams};
