//! Traces: the answers, callbacks and checks of a purchase are linked, even if they are minutes
//! apart and on different replicas.

use std::collections::HashMap;

use axum::http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Span, Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::{
    environment::{is_exported, resource},
    error::TelemetryError,
    span_counter::CountedProcessor,
};
use crate::transaction::TraceContext;

/// Creates the tracer provider, which exports spans if the environment sets an endpoint.
pub(super) fn provider() -> Result<SdkTracerProvider, TelemetryError> {
    let mut provider = SdkTracerProvider::builder().with_resource(resource());
    if is_exported("TRACES") {
        let exporter = SpanExporter::builder().build()?;
        provider = provider.with_span_processor(CountedProcessor::new(exporter));
    }
    Ok(provider.build())
}

/// Creates the layer that records the spans of this crate, independent of the level of the log.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO);
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(ours)
}

/// The carrier of a trace context in HTTP headers.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// Sets the parent of a span to the trace in the headers (W3C trace context).
pub(super) fn continue_trace(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    if parent.span().span_context().is_valid() {
        // It fails for a span that no layer records, which needs no parent.
        let _ = span.set_parent(parent);
    }
}

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Returns the context of the current span, to be stored and linked later; it excludes baggage.
#[must_use]
pub fn current_trace() -> Option<TraceContext> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    Some(TraceContext {
        traceparent: carrier.remove(TRACEPARENT)?,
        tracestate: carrier.remove(TRACESTATE).filter(|state| !state.is_empty()),
    })
}

/// Links a span to a stored trace context.
pub fn link(span: &Span, to: Option<&TraceContext>) {
    let Some(to) = to else {
        return;
    };
    let mut carrier = HashMap::from([(TRACEPARENT.to_owned(), to.traceparent.clone())]);
    carrier.extend(
        to.tracestate
            .clone()
            .map(|state| (TRACESTATE.to_owned(), state)),
    );
    let kept = TraceContextPropagator::new().extract(&carrier);
    span.add_link(kept.span().span_context().clone());
}

/// Returns the id of the current trace, for a log line.
pub(super) fn current_trace_id() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.trace_id().to_string())
}
