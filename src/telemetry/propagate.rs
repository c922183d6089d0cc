//! W3C trace context: out of HTTP requests, into what we write.

use hyper::http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::model::TraceContext;

/// The context that a request came with; without a valid `traceparent` an empty one.
#[must_use]
pub fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers))
}

/// Makes `span` a child of what the request came with. Call it before the span is entered for the first
/// time: afterwards it is part of its own trace and stays there.
pub fn adopt(span: &tracing::Span, headers: &HeaderMap) {
    let context = extract(headers);
    if context.span().span_context().is_valid() {
        // Fails only where no span is recorded (export is off, or the span is filtered): then there is no parent to set.
        let _ = span.set_parent(context);
    }
}

/// The `traceparent` of a span that is recorded, to put beside what is written on its behalf.
#[must_use]
pub fn traceparent(span: &tracing::Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let c = span.span_context();
    c.is_valid().then(|| format!("00-{}-{}-{:02x}", c.trace_id(), c.span_id(), c.trace_flags().to_u8() & 1))
}

/// Links `span` to a context of long ago, of which it is no child: a dead letter that goes back.
pub fn link(span: &tracing::Span, to: TraceContext) {
    let flags = TraceFlags::new(to.flags);
    let (trace, id) = (TraceId::from_bytes(to.trace_id), SpanId::from_bytes(to.span_id));
    span.add_link(SpanContext::new(trace, id, flags, true, TraceState::default()));
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(hyper::http::HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let all: Vec<&str> = self.0.get_all(key).iter().filter_map(|v| v.to_str().ok()).collect();
        (!all.is_empty()).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(traceparent: &str) -> Option<(String, bool)> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        let context = extract(&headers);
        let span = context.span();
        let c = span.span_context();
        c.is_valid().then(|| (format!("{}/{}", c.trace_id(), c.span_id()), c.is_sampled()))
    }

    #[test]
    fn valid_contexts_are_taken_and_others_ignored() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        assert_eq!(parent(&format!("00-{trace}-{span}-01")), Some((format!("{trace}/{span}"), true)));
        assert_eq!(parent(&format!("00-{trace}-{span}-00")), Some((format!("{trace}/{span}"), false)));
        for bad in [
            "",
            "00",
            &format!("ff-{trace}-{span}-01"),
            &format!("00-{}-{span}-01", "0".repeat(32)),
            &format!("00-{trace}-{}-01", "0".repeat(16)),
            "00-xyz-abc-01",
        ] {
            assert_eq!(parent(bad), None, "{bad}");
        }
        assert!(!extract(&HeaderMap::new()).span().span_context().is_valid());
    }

    #[test]
    fn without_export_there_is_no_traceparent() {
        assert_eq!(traceparent(&tracing::info_span!("request")), None);
    }
}
