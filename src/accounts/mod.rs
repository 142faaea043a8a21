//! The configured OKEBAYAR accounts: their names, their clients, and the slots in which OKEBAYAR is
//! called.

mod directory;
mod slots;
mod upstreams;

pub use directory::AccountDirectory;
pub use slots::CallSlots;
pub use upstreams::{Upstream, Upstreams};
