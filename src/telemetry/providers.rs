//! The providers of metrics and traces, and their exporters.

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

/// The running providers.
pub struct Telemetry {
    registry: Registry,
    meters: SdkMeterProvider,
    pub(super) tracers: SdkTracerProvider,
}

/// The time-out of the last export at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

impl Telemetry {
    /// Starts the exporters. It may block, so do not call it in an async task.
    ///
    /// # Errors
    /// [`TelemetryError`] when an exporter cannot be created as the environment demands.
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

    /// Returns the registry that Prometheus scrapes.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Exports pending spans and metrics, and stops. It may block, so do not call it in an async
    /// task.
    pub fn stop(&self) {
        for stopped in [
            self.tracers.shutdown_with_timeout(SHUTDOWN_TIMEOUT),
            self.meters.shutdown_with_timeout(SHUTDOWN_TIMEOUT),
        ] {
            if let Err(error) = stopped {
                tracing::debug!(%error, "last export failed; pending spans or metrics are lost");
            }
        }
    }
}

/// Encodes the metrics of a registry in Prometheus' text format.
#[must_use]
pub fn prometheus_text(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap_or_default()
}
