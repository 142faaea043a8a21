//! What the gateway shows of itself: traces by OTLP, metrics by OTLP and for
//! Prometheus, and lines of a log that name their trace.
//!
//! Everything is set by the standard `OTEL_*` variables. Nothing is exported by OTLP
//! unless one of them names an endpoint; Prometheus can always read `/metrics`. An
//! exporter that is slow or away slows nothing: it works on a thread of its own.

mod environment;
mod error;
mod json_lines;
mod log;
mod metrics;
mod providers;
mod rpc;
mod span_counter;
mod store;
mod traces;

pub use self::{
    error::TelemetryError,
    log::log_to_stderr,
    metrics::{AGES, Metrics},
    providers::{Telemetry, prometheus_text},
    rpc::RpcLayer,
    store::MeasuredStore,
    traces::{current_trace, link},
};
