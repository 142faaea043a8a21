//! `serve`: runs the gateway, or verifies its configuration.

use anyhow::Result;

use super::process;
use crate::{ambient::Ambient, app::App, config::Settings, telemetry::log_to_stderr};

/// Runs the gateway until a signal stops it.
///
/// # Errors
/// When it cannot be started, or fails while it runs.
pub(super) async fn run(settings: Settings, ambient: Ambient) -> Result<()> {
    let telemetry = process::start_telemetry().await?;
    log_to_stderr("info", Some(&telemetry));
    let registry = telemetry.registry();
    let stopping = process::stop_on_signal()?;
    let gateway = App::start(settings, registry, ambient, stopping).await?;
    let ran = gateway.run().await;
    tokio::task::spawn_blocking(move || telemetry.stop()).await?;
    ran
}

/// Prints the warnings about a configuration that has been read without a fault.
pub(super) fn print_warnings(settings: &Settings) {
    for warning in settings.warnings() {
        println!("warning: {warning}");
    }
    println!("the configuration can be used");
}
