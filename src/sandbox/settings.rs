//! The settings of the sandbox.

use std::time::Duration;

use secrecy::SecretString;

/// The HTTP method of callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CallbackMethod {
    /// Query parameters.
    Get,
    /// A body in the format of the purchase.
    Post,
}

/// The settings of the sandbox.
pub struct SandboxSettings {
    /// The member id that the sandbox accepts.
    pub user_id: String,
    /// The PIN that the sandbox accepts.
    pub pin: SecretString,
    /// The initial deposit, in rupiah.
    pub deposit: u64,
    /// The delay after which a pending purchase takes its later status.
    pub settle_after: Duration,
    /// The delay of an answer that must arrive after the client's time-out.
    pub late_after: Duration,
    /// The delay of the answer to each status check.
    pub check_delay: Duration,
    /// The HTTP method of callbacks.
    pub callback_method: CallbackMethod,
    /// The validity period of an inquiry.
    pub inquiry_valid: Duration,
    /// The status code of a check about an unknown reference code.
    pub not_found_code: u16,
}
