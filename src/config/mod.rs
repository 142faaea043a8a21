//! Configuration: a TOML file and the environment variables `OKEBAYAR_GATEWAY__SECTION__KEY` are
//! parsed into domain types, or into a list of all faults.
//!
//! `docs/CONFIGURATION.md` lists the keys. Secrets come from the environment or from a separate
//! file, never from the TOML file.

mod account_names;
mod accounts;
mod callbacks;
mod checks;
mod codes;
mod credentials;
mod endpoint;
mod failover;
mod fault;
mod flat_keys;
mod limits;
mod reader;
mod retention;
mod secrets;
mod settings;
mod short_times;
mod shutdown;
mod store;
mod streams;
#[cfg(test)]
mod tests;

pub use self::{
    accounts::AccountSettings,
    fault::{Fault, Faults},
    flat_keys::ENVIRONMENT_PREFIX,
    limits::Limits,
    settings::{Settings, load_target},
};
