//! Telemetry: traces over OTLP, metrics over OTLP and for Prometheus, and log lines with trace ids.
//!
//! The standard `OTEL_*` variables configure all of it. OTLP exports nothing unless one of them
//! sets an endpoint; Prometheus can always scrape `/metrics`. Exporters run on threads of their
//! own, so a slow or unreachable collector delays no call.

mod environment;
mod error;
mod json_lines;
mod log;
mod metrics;
mod providers;
mod retention_instruments;
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
