//! The running exporters.

use std::time::Duration;

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::SdkTracerProvider,
};
use prometheus::{Registry, TextEncoder, process_collector::ProcessCollector};

use super::{
    environment::{is_exported, resource},
    error::TelemetryError,
    traces,
};

/// The running exporters.
pub struct Telemetry {
    registry: Registry,
    meters: SdkMeterProvider,
    pub(super) tracers: SdkTracerProvider,
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

/// The metrics of a registry in Prometheus' text format.
#[must_use]
pub fn prometheus_text(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap_or_default()
}
