//! Configuration: a TOML file and `OKEBAYAR_GATEWAY__SECTION__KEY` in the
//! environment become domain types, or a list of every fault at once.
//!
//! `docs/CONFIGURATION.md` lists the keys. Secrets come from the environment or
//! from a file of their own, never from the TOML file.

mod accounts;
mod codes;
mod reader;
mod settings;
mod short_times;

pub use self::{
    accounts::AccountSettings,
    reader::{ENVIRONMENT_PREFIX, Fault, Faults},
    settings::{CallbackSettings, Limits, Settings, StoreSettings},
};
