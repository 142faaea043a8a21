//! How the sandbox behaves.

use std::time::Duration;

use secrecy::SecretString;

/// How callbacks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CallbackMethod {
    /// Query parameters.
    Get,
    /// A body in the format of the purchase.
    Post,
}

/// How the sandbox behaves.
pub struct SandboxSettings {
    /// The member id that is right.
    pub user_id: String,
    /// The PIN that is right.
    pub pin: SecretString,
    /// The deposit at first, in rupiah.
    pub deposit: u64,
    /// The time after which a pending purchase is settled.
    pub settle_after: Duration,
    /// The time after which a client no longer waits for an answer.
    pub late_after: Duration,
    /// How long each status check takes to be answered.
    pub check_delay: Duration,
    /// How callbacks are made.
    pub callback_method: CallbackMethod,
    /// How long an inquiry may be used.
    pub inquiry_valid: Duration,
    /// The status code with which a check about an unknown reference code is answered.
    pub not_found_code: u16,
}
