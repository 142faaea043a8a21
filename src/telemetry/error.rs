//! The error of a start that failed.

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
