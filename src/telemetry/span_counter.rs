//! Counters of spans that ended, were exported, or failed to export. The difference is queued, or
//! was dropped because the bounded queue was full.

use std::time::Duration;

use opentelemetry::{Context, KeyValue, metrics::Counter};
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

/// Creates the counter of spans.
fn spans() -> Counter<u64> {
    opentelemetry::global::meter(env!("CARGO_PKG_NAME"))
        .u64_counter("okebayar.telemetry.spans")
        .with_description("Spans that ended, were exported, or failed to export")
        .build()
}

fn label(result: &'static str) -> [KeyValue; 1] {
    [KeyValue::new("result", result)]
}

/// A span processor that counts spans before it queues them.
#[derive(Debug)]
pub(super) struct CountedProcessor {
    inner: BatchSpanProcessor,
    spans: Counter<u64>,
}

impl CountedProcessor {
    /// Creates a processor that exports in batches on a thread of its own.
    pub(super) fn new(exporter: OtlpExporter) -> Self {
        let exporter = CountedExporter {
            inner: exporter,
            spans: spans(),
        };
        Self {
            inner: BatchSpanProcessor::builder(exporter).build(),
            spans: spans(),
        }
    }
}

impl SpanProcessor for CountedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.spans.add(1, &label("ended"));
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// An exporter that counts exported and failed spans.
#[derive(Debug)]
struct CountedExporter {
    inner: OtlpExporter,
    spans: Counter<u64>,
}

impl SpanExporter for CountedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let exported = self.inner.export(batch).await;
        let result = if exported.is_ok() {
            "exported"
        } else {
            "failed"
        };
        self.spans.add(count, &label(result));
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
