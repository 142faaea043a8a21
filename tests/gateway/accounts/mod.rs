//! OKEBAYAR accounts: isolation from each other, renames, user ids, removal from the configuration.

pub mod isolation;
pub mod rename;
pub mod unconfigured;
pub mod user_id;
