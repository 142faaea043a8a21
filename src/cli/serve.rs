//! `serve`: runs the gateway, or verifies its configuration.

use anyhow::{Context, Result};

use super::process;
use crate::{
    ambient::Ambient,
    app::App,
    config::Settings,
    store::{self, OpenMode, StoreSettings},
    telemetry::log_to_stderr,
};

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

/// Connects to the store, and prints what it found. A store in a file is left alone: a gateway may
/// have it open.
///
/// # Errors
/// When the store does not answer, or cannot be used.
pub(super) async fn print_store(settings: &Settings, ambient: &Ambient) -> Result<()> {
    if let StoreSettings::Embedded { path, .. } = &settings.store {
        let found = match path.try_exists() {
            Ok(true) => "there is a file",
            Ok(false) => "there is no file yet",
            Err(_) => "the folder cannot be read",
        };
        println!("store: embedded, {}: {found}", path.display());
        return Ok(());
    }
    let identity = settings.identity((ambient.random)());
    let opened = store::open(&settings.store, &identity, OpenMode::Inspect).await?;
    let described = opened.describe(&identity).await;
    for line in described.context("store.url")? {
        println!("store: {line}");
    }
    Ok(())
}
