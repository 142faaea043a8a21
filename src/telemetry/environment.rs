//! The `OTEL_*` variables that the SDK does not evaluate by itself.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_semantic_conventions::resource::SERVICE_VERSION;

/// Builds the resource: the version of the service, and its name unless `OTEL_SERVICE_NAME` sets
/// it.
pub(super) fn resource() -> Resource {
    let builder = Resource::builder();
    let builder = if std::env::var_os("OTEL_SERVICE_NAME").is_some() {
        builder
    } else {
        builder.with_service_name(env!("CARGO_PKG_NAME"))
    };
    let version = KeyValue::new(SERVICE_VERSION, env!("CARGO_PKG_VERSION"));
    builder.with_attribute(version).build()
}

/// Returns true when the environment sets an endpoint for a signal and does not disable it.
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
