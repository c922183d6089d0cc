//! Spans and metrics by OTLP over gRPC.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};

use super::{SERVICE, TelemetryError};

/// Where each signal goes; `None` is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Endpoint of spans.
    pub traces: Option<String>,
    /// Endpoint of metrics.
    pub metrics: Option<String>,
}

/// Decides which signals are exported and where to. Variables of OpenTelemetry are stronger than the file.
///
/// # Errors
/// A variable that asks for what this build cannot do.
pub fn plan(file: Option<&str>, env: &dyn Fn(&str) -> Option<String>) -> Result<Plan, TelemetryError> {
    // "Set to empty" means unset by the specification.
    let env = |name: &str| env(name).filter(|v| !v.is_empty());
    if env("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Ok(Plan::default());
    }
    let refuse = |name: String, value, what, allowed| Err(TelemetryError::Variable { name, value, what, allowed });
    let signal = |signal: &str| {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        match env(&exporter).as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => return refuse(exporter, other.to_owned(), "unknown exporter", "otlp none"),
        }
        let of = |what: &str| {
            [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")]
                .into_iter()
                .find_map(|name| env(&name).map(|value| (name, value)))
        };
        let endpoint = match (of("ENDPOINT"), file) {
            (Some((name, value)), _) if !value.starts_with("http://") => {
                let what = "export is cleartext gRPC; a collector beside us speaks TLS for us";
                return refuse(name, value, what, "http://HOST:PORT");
            }
            (Some((_, value)), _) => value,
            (None, Some(file)) => file.to_owned(),
            (None, None) => return Ok(None),
        };
        match of("PROTOCOL") {
            Some((name, value)) if value != "grpc" => refuse(name, value, "this build speaks gRPC only", "grpc"),
            _ => Ok(Some(endpoint)),
        }
    };
    Ok(Plan { traces: signal("TRACES")?, metrics: signal("METRICS")? })
}

/// The running export.
pub struct Export {
    plan: Plan,
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Export {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which a thread of another runtime must not: the rest of it ends by itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Export {
    /// Starts what is planned; `None` where nothing is. Sampler, headers, timeouts and queue sizes are those of
    /// the `OTEL_*` variables.
    ///
    /// # Errors
    /// [`TelemetryError::Export`] in the exporter's words.
    pub fn start(plan: &Plan, instance: &str) -> Result<Option<Self>, TelemetryError> {
        if *plan == Plan::default() {
            return Ok(None);
        }
        let failed = |e: &dyn std::fmt::Display| TelemetryError::Export(e.to_string());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(|e| failed(&e))?;
        // The gRPC channel spawns its connection on the runtime that is current when it is made.
        let entered = runtime.enter();
        let resource = resource(instance);
        let traces = match &plan.traces {
            Some(endpoint) => {
                let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint.as_str()).build();
                let exporter = Spans { to: exporter.map_err(|e| failed(&e))?, failing: AtomicBool::new(false) };
                Some(SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build())
            }
            None => None,
        };
        let metrics = match &plan.metrics {
            Some(endpoint) => {
                let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint.as_str()).build();
                let exporter = exporter.map_err(|e| failed(&e))?;
                Some(SdkMeterProvider::builder().with_resource(resource).with_periodic_exporter(exporter).build())
            }
            None => None,
        };
        drop(entered);
        Ok(Some(Self { plan: plan.clone(), traces, metrics, runtime: Some(runtime) }))
    }

    /// Where it goes, for the log.
    pub(super) fn endpoints(&self) -> String {
        let of = |name: &str, to: &Option<String>| to.as_ref().map(|to| format!("{name} to {to}"));
        [of("spans", &self.plan.traces), of("metrics", &self.plan.metrics)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Provider of spans, where they are exported.
    #[must_use]
    pub fn traces(&self) -> Option<&SdkTracerProvider> {
        self.traces.as_ref()
    }

    /// Meter of our metrics, where they are exported.
    #[must_use]
    pub fn meter(&self) -> Option<Meter> {
        self.metrics.as_ref().map(|provider| provider.meter(SERVICE))
    }

    /// Exports what is queued and ends. True where the collector took all of it within `deadline`.
    #[must_use]
    pub fn stop(mut self, deadline: Duration) -> bool {
        // Both at once and on threads of their own: the calls block, and that of metrics knows no deadline.
        let until = Instant::now() + deadline;
        let (done, results) = sync_channel::<OTelSdkResult>(2);
        let mut waiting = 0;
        if let Some(provider) = self.traces.take() {
            let done = done.clone();
            waiting += 1;
            std::thread::spawn(move || done.send(provider.shutdown_with_timeout(deadline)));
        }
        if let Some(provider) = self.metrics.take() {
            waiting += 1;
            std::thread::spawn(move || done.send(provider.shutdown()));
        }
        (0..waiting).all(|_| {
            results.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok_and(|result| result.is_ok())
        })
    }
}

/// What we are, unless `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say otherwise.
fn resource(instance: &str) -> Resource {
    let said = Resource::builder().build();
    let named =
        |key: &'static str| said.iter().any(|(k, v)| k.as_str() == key && !v.as_str().starts_with("unknown_service"));
    let ours =
        [("service.name", SERVICE), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", instance)];
    let missing = ours.into_iter().filter(|(key, value)| !named(key) && !value.is_empty());
    Resource::builder().with_attributes(missing.map(|(k, v)| KeyValue::new(k, v.to_owned()))).build()
}

/// The exporter of spans, with two things that the SDK leaves out: spans that the sampler only records are
/// not sent, and a failing export is said once, not never and not each time.
#[derive(Debug)]
struct Spans {
    to: SpanExporter,
    failing: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Spans {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.retain(|span| span.span_context.is_sampled());
        if batch.is_empty() {
            return Ok(());
        }
        let spans = batch.len();
        let result = self.to.export(batch).await;
        match &result {
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, spans, "OTLP export fails: these spans are lost; said once until it works again");
            }
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => tracing::info!("OTLP export works again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        opentelemetry_sdk::trace::SpanExporter::shutdown_with_timeout(&self.to, timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.to.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(file: Option<&str>, env: &[(&str, &str)]) -> Result<Plan, String> {
        let env = |name: &str| env.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned());
        plan(file, &env).map_err(|e| e.to_string())
    }

    #[test]
    fn off_unless_an_endpoint_is_given() {
        let to = |t: &str, m: &str| Ok(Plan { traces: Some(t.into()), metrics: Some(m.into()) });
        assert_eq!(planned(None, &[]), Ok(Plan::default()));
        assert_eq!(planned(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(Plan::default()));
        assert_eq!(planned(Some("http://f:1"), &[]), to("http://f:1", "http://f:1"));
        assert_eq!(planned(Some("http://f:1"), &[("OTEL_SDK_DISABLED", "true")]), Ok(Plan::default()));
        let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://e:1"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1")];
        assert_eq!(planned(Some("http://f:1"), &env), to("http://t:1", "http://e:1"));
        let none = planned(Some("http://f:1"), &[("OTEL_METRICS_EXPORTER", "none")]);
        assert_eq!(none, Ok(Plan { traces: Some("http://f:1".into()), metrics: None }));
    }

    #[test]
    fn what_this_build_cannot_do_is_refused() {
        for (name, value, error) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "this build speaks gRPC only; allowed: grpc"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "unknown exporter; allowed: otlp none"),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "https://c:4317",
                "export is cleartext gRPC; a collector beside us speaks TLS for us; allowed: http://HOST:PORT",
            ),
        ] {
            let expected = format!("environment variable {name} = \"{value}\": {error}");
            assert_eq!(planned(Some("http://f:1"), &[(name, value)]), Err(expected));
        }
    }
}
