//! The set-up of the log.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use super::{json_lines::JsonLines, providers::Telemetry, traces};

/// Installs the log on standard error, in JSON, or in a readable form on a terminal. `RUST_LOG`
/// overrides `level`; it does not affect the traces of `telemetry`.
pub fn log_to_stderr(level: &str, telemetry: Option<&Telemetry>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.with_filter(filter).boxed()
    } else {
        lines.event_format(JsonLines).with_filter(filter).boxed()
    };
    let traces = telemetry.map(|telemetry| traces::layer(&telemetry.tracers));
    tracing_subscriber::registry()
        .with(lines)
        .with(traces)
        .init();
}
