//! The error of telemetry at start-up.

/// An error that prevents telemetry from starting.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The Prometheus reader cannot be created.
    #[error("cannot create the Prometheus reader: {0}")]
    Prometheus(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// The metrics of the process cannot be registered.
    #[error("cannot register the metrics of the process: {0}")]
    Process(#[from] prometheus::Error),
    /// The OTLP exporter cannot be created as the `OTEL_*` variables demand.
    #[error("cannot create the OTLP exporter: {0}; correct the OTEL_EXPORTER_OTLP_* variables")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
}
