//! The log: where it goes, in which form, and from which level.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use super::{json_lines::JsonLines, providers::Telemetry, traces};

/// Logs to standard error: lines of JSON, readable ones on a terminal. `RUST_LOG`
/// chooses other levels than `level`; the traces of `telemetry` are made all the same.
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
