//! Traces: one story for each purchase, over answers, callbacks and checks that come
//! minutes apart and on other replicas.

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

/// Makes spans; exports them where the environment names an endpoint.
pub(super) fn provider() -> Result<SdkTracerProvider, TelemetryError> {
    let mut provider = SdkTracerProvider::builder().with_resource(resource());
    if is_exported("TRACES") {
        let exporter = SpanExporter::builder().build()?;
        provider = provider.with_span_processor(CountedProcessor::new(exporter));
    }
    Ok(provider.build())
}

/// Turns this crate's spans into those of a provider, whatever the log shows.
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

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// Makes a span part of the trace that the headers name (W3C trace context).
pub(super) fn continue_trace(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    if parent.span().span_context().is_valid() {
        // It fails for a span that nobody makes anything of.
        let _ = span.set_parent(parent);
    }
}

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The current span, to be found again by those that come later; never baggage.
#[must_use]
pub fn current_trace() -> Option<TraceContext> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    Some(TraceContext {
        traceparent: carrier.remove(TRACEPARENT)?,
        tracestate: carrier.remove(TRACESTATE).filter(|state| !state.is_empty()),
    })
}

/// Links a span to the one that was kept.
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

/// The id of the current trace, for a line of the log.
pub(super) fn current_trace_id() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.trace_id().to_string())
}
