//! Facts of the process: TLS, core dumps, telemetry and signals.

use anyhow::Result;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::telemetry::Telemetry;

/// Installs the one TLS provider.
///
/// # Errors
/// When another one is installed.
pub(super) fn install_tls_provider() -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another TLS provider is installed"))
}

/// Disables core dumps: one would hold the PIN (promise 15).
pub(super) fn disable_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        eprintln!("core dumps could not be disabled: {error}");
    }
}

/// Starts telemetry outside of async tasks: its exporters block while they are built.
///
/// # Errors
/// When an exporter cannot be built.
pub(super) async fn start_telemetry() -> Result<Telemetry> {
    Ok(tokio::task::spawn_blocking(Telemetry::start).await??)
}

/// Returns a token that SIGTERM or SIGINT cancels, so that the program stops in order.
///
/// # Errors
/// When no signal handler can be installed.
pub(super) fn stop_on_signal() -> Result<CancellationToken> {
    let stopping = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = stopping.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(stopping)
}
