//! `sandbox`: runs a sandbox of OKEBAYAR, for development and tests.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use jiff::SignedDuration;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tracing::info;

use super::process;
use crate::{
    ambient::Ambient,
    sandbox::{CallbackMethod, Sandbox, SandboxSettings, scenario},
};

/// The environment variable of the PIN.
const PIN_VARIABLE: &str = "OKEBAYAR_SANDBOX_PIN";

/// The behaviour of the sandbox.
#[derive(Args)]
pub struct SandboxArguments {
    /// Listen on this address and port.
    #[arg(long, default_value = "127.0.0.1:8090", value_hint = ValueHint::Other)]
    listen: SocketAddr,
    /// Send callbacks to this URL, such as <http://127.0.0.1:8080/callbacks/main>.
    #[arg(long, value_hint = ValueHint::Url)]
    callback_url: Option<String>,
    /// Send callbacks by this method.
    #[arg(long, value_enum, default_value = "post")]
    callback_method: CallbackMethod,
    /// Accept this member id; the environment variable `OKEBAYAR_SANDBOX_PIN` holds its PIN.
    #[arg(long, default_value = "sandbox", value_hint = ValueHint::Other)]
    userid: String,
    /// Settle a pending purchase after this time.
    #[arg(long, default_value = "2s", value_hint = ValueHint::Other)]
    settle_after: SignedDuration,
    /// Delay a late answer by this time, after which no client still waits for it.
    #[arg(long, default_value = "1m", value_hint = ValueHint::Other)]
    late_after: SignedDuration,
    /// Delay the answer to each status check by this time.
    #[arg(long, default_value = "0s", value_hint = ValueHint::Other)]
    check_delay: SignedDuration,
    /// Let an inquiry expire after this time.
    #[arg(long, default_value = "30m", value_hint = ValueHint::Other)]
    inquiry_valid: SignedDuration,
    /// Answer a status check of an unknown reference code with this status code.
    #[arg(long, default_value_t = scenario::NOT_FOUND_DEFAULT,
        value_parser = clap::value_parser!(u16).range(..1000), value_hint = ValueHint::Other)]
    not_found_code: u16,
    /// Start with this deposit, in rupiah.
    #[arg(long, default_value_t = 10_000_000, value_hint = ValueHint::Other)]
    deposit: u64,
}

/// Runs the sandbox until a signal stops it.
///
/// # Errors
/// When the PIN is not set, or the address cannot be bound.
pub(super) async fn run(arguments: SandboxArguments, ambient: Ambient) -> Result<()> {
    let stopping = process::stop_on_signal()?;
    let pin = std::env::var(PIN_VARIABLE)
        .map(SecretString::from)
        .with_context(|| {
            format!("{PIN_VARIABLE} is not set; set it to the PIN that the sandbox accepts")
        })?;
    let settings = SandboxSettings {
        user_id: arguments.userid,
        pin,
        deposit: arguments.deposit,
        settle_after: arguments.settle_after.unsigned_abs(),
        late_after: arguments.late_after.unsigned_abs(),
        check_delay: arguments.check_delay.unsigned_abs(),
        callback_method: arguments.callback_method,
        inquiry_valid: arguments.inquiry_valid.unsigned_abs(),
        not_found_code: arguments.not_found_code,
    };
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!(
            "--listen: {} cannot be bound; free it or name another",
            arguments.listen
        )
    })?;
    info!(sandbox = %listener.local_addr()?, "listening");
    let sandbox = Sandbox::new(settings, arguments.callback_url, ambient, stopping)?;
    Arc::clone(&sandbox).serve(listener).await;
    Ok(())
}
