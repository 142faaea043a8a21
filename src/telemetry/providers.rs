//! The running exporters, and the log.

use std::{io::IsTerminal, time::Duration};

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::SdkTracerProvider,
};
use prometheus::{Registry, TextEncoder, process_collector::ProcessCollector};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use super::{json_lines::JsonLines, traces};

/// The running exporters.
pub struct Telemetry {
    registry: Registry,
    meters: SdkMeterProvider,
    tracers: SdkTracerProvider,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The Prometheus reader cannot be made.
    #[error("metrics for Prometheus: {0}")]
    Prometheus(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// The metrics of the process cannot be read.
    #[error("metrics of the process: {0}")]
    Process(#[from] prometheus::Error),
    /// The OTLP exporter cannot be made as the `OTEL_*` variables say.
    #[error("OTLP (see the OTEL_EXPORTER_OTLP_* variables): {0}")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// How long the last export may take at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Starts the exporters. It may block, so it is not for an async task.
    ///
    /// # Errors
    /// [`TelemetryError`] when the environment asks for what cannot be done.
    pub fn start() -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let process = ProcessCollector::for_self();
        registry.register(Box::new(process))?;
        let prometheus = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()?;
        let mut meters = SdkMeterProvider::builder()
            .with_resource(resource())
            .with_reader(prometheus);
        if is_exported("METRICS") {
            let exporter = MetricExporter::builder().build()?;
            meters = meters.with_reader(PeriodicReader::builder(exporter).build());
        }
        let meters = meters.build();
        opentelemetry::global::set_meter_provider(meters.clone());
        Ok(Self {
            registry,
            meters,
            tracers: traces::provider()?,
        })
    }

    /// The metrics as Prometheus reads them.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Exports what is left. It may block, so it is not for an async task.
    pub fn stop(&self) {
        for stopped in [
            self.tracers.shutdown_with_timeout(SHUTDOWN_TIMEOUT),
            self.meters.shutdown_with_timeout(SHUTDOWN_TIMEOUT),
        ] {
            if let Err(error) = stopped {
                tracing::debug!(%error, "what was left could not be exported");
            }
        }
    }
}

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

/// The metrics of a registry in Prometheus' text format.
#[must_use]
pub fn prometheus_text(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap_or_default()
}

pub(super) fn resource() -> Resource {
    let builder = Resource::builder();
    let builder = if std::env::var_os("OTEL_SERVICE_NAME").is_some() {
        builder
    } else {
        builder.with_service_name(env!("CARGO_PKG_NAME"))
    };
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    builder.with_attribute(version).build()
}

/// True when the environment names an endpoint for a signal, and does not switch it
/// off.
pub(super) fn is_exported(signal: &str) -> bool {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let endpoints = [
        "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
        format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"),
    ];
    let is_off = variable("OTEL_SDK_DISABLED").eq_ignore_ascii_case("true")
        || variable(&format!("OTEL_{signal}_EXPORTER")) == "none";
    !is_off && endpoints.iter().any(|name| !variable(name).is_empty())
}
