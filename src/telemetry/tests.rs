//! A collector within the test: what others receive from us, read by generated code that is not ours.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::http::HeaderMap;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::{Request, Response, Status};
use tracing_subscriber::layer::SubscriberExt;

use super::export::Plan;
use super::*;
use crate::snapshot::{Snapshot, StreamView};

#[derive(Clone, Default)]
struct Received {
    spans: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.spans.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Received {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// A collector: one port for spans, one for metrics. It ends with the runtime.
fn collector(runtime: &tokio::runtime::Runtime) -> (Received, Plan) {
    let received = Received::default();
    let port = |metrics: bool| {
        let received = received.clone();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let io = TokioIo::new(socket);
                if metrics {
                    let service = TowerToHyperService::new(MetricsServiceServer::new(received.clone()));
                    tokio::spawn(http2.serve_connection(io, service));
                } else {
                    let service = TowerToHyperService::new(TraceServiceServer::new(received.clone()));
                    tokio::spawn(http2.serve_connection(io, service));
                }
            }
        });
        Some(endpoint)
    };
    let plan = Plan { traces: port(false), metrics: port(true) };
    (received, plan)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_collector_gets_spans_and_metrics_and_no_echo_of_the_export() {
    let runtime = runtime();
    let (received, plan) = collector(&runtime);
    let export = Export::start(&plan, "boot-1").unwrap().unwrap();
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let subscriber = tracing_subscriber::registry().with(logs::spans(&export));
    let ours = tracing::subscriber::with_default(subscriber, || {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", format!("00-{trace}-{parent}-01").parse().unwrap());
        let span = tracing::info_span!("request", otel.kind = "server");
        propagate::adopt(&span, &headers);
        let _entered = span.enter();
        let _foreign = tracing::info_span!(target: "h2::client", "echo").entered();
        propagate::traceparent(&span).unwrap()
    });

    let meter = export.meter().unwrap();
    let stream = StreamView {
        cluster: "main".into(),
        stream: "orders".into(),
        events: 42,
        decode_errors: [("invalid_json", 3)].into(),
        ..StreamView::default()
    };
    let snapshot = Arc::new(Snapshot { streams: vec![stream], ..Snapshot::default() });
    metrics::observe(&meter, move || snapshot.clone(), || 7);
    let metrics = Metrics::new(&meter);
    metrics.batches(5);
    metrics.checkpoint(0.02, true);
    metrics.tick(0.001);
    metrics.frame(0.003, "overview");
    metrics.http(0.01, "GET", "/flows/{flow}", 200);
    assert!(export.stop(Duration::from_secs(20)), "the collector is there and takes everything");

    let requests = received.spans.lock().unwrap();
    let spans: Vec<_> =
        requests.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
    assert_eq!(spans.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["request"]);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!((hex(&spans[0].trace_id), hex(&spans[0].parent_span_id)), (trace.into(), parent.into()));
    assert_eq!(ours, format!("00-{trace}-{}-01", hex(&spans[0].span_id)));
    let resource = requests[0].resource_spans[0].resource.as_ref().unwrap();
    let said = format!("{:?}", resource.attributes);
    for value in ["streamgauge", env!("CARGO_PKG_VERSION"), "boot-1"] {
        assert!(said.contains(&format!("\"{value}\"")), "{value} in {said}");
    }

    let requests = received.metrics.lock().unwrap();
    let all = requests.iter().flat_map(|r| &r.resource_metrics).flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    let mut seen: Vec<_> = all.clone().map(|m| (m.name.as_str(), m.unit.as_str(), m.description.as_str())).collect();
    seen.sort_unstable();
    seen.dedup();
    let mut declared = metrics::TABLE.map(|d| (d.name, d.unit, d.help));
    declared.sort_unstable();
    assert_eq!(seen, declared, "what is exported is what is declared");
    let events = all.clone().find(|m| m.name == "streamgauge.stream.events").unwrap();
    let events = format!("{:?}", events.data);
    assert!(events.contains("AsInt(42)") && events.contains("\"orders\"") && events.contains("\"main\""), "{events}");
}

#[test]
fn a_collector_that_never_answers_costs_the_deadline_and_not_more() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let plan = Plan { traces: Some(endpoint.clone()), metrics: Some(endpoint) };
    // Also from the only thread of a runtime: nothing of the export runs on it.
    let lone = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (all, took) = lone.block_on(async {
        let export = Export::start(&plan, "").unwrap().unwrap();
        let subscriber = tracing_subscriber::registry().with(logs::spans(&export));
        tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("lost").entered()));
        Metrics::new(&export.meter().unwrap()).tick(0.1);
        let began = Instant::now();
        (export.stop(Duration::from_millis(300)), began.elapsed())
    });
    assert!(!all, "nobody took it");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn off_is_off() {
    assert!(Export::start(&Plan::default(), "").unwrap().is_none());
    let guard = Guard { export: None, end: OnceLock::new() };
    Metrics::new(&guard.meter()).batches(1);
    assert_eq!(guard.flush_within(), FLUSH_DEADLINE);
    guard.end_by(Instant::now() + Duration::from_millis(500));
    guard.end_by(Instant::now() + Duration::from_secs(60));
    assert!(guard.flush_within() <= Duration::from_millis(500), "{:?}", guard.flush_within());
}
