//! `/metrics`: counters and histograms as of the last durable checkpoint, so that they never fall; gauges live.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::exposition::{Exposition, Format, Kind};
use super::{App, lag, process};
use crate::model::{MICROS_PER_SECOND, Outcome, Timestamp};
use crate::snapshot::{Durable, DurableFlow, ExemplarView, FlowView, LatencyView, Snapshot};

/// The handler. It reads what is there; nobody is asked.
pub async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).into_iter().filter_map(|v| v.to_str().ok()).collect();
    let format = Format::negotiated(&accept.join(","));
    let (durable, snapshot) = (app.context.durable.borrow().clone(), app.context.snapshot.borrow().clone());
    let mut out = Exposition::new(format);
    flow_counters(&mut out, &durable);
    histograms(&mut out, &durable, &snapshot);
    flow_gauges(&mut out, &snapshot);
    streams(&mut out, &durable);
    ourselves(&mut out, &app, &snapshot);
    process::metrics(&mut out, app.context.status.borrow().started_at);
    // Groups may have 100,000s of samples: they are written as the reader takes them.
    let body = lag::metrics::Samples::new(out, &snapshot, &app.config.lag_metrics);
    let mut response = axum::body::Body::new(body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Name, help and value of a counter per flow.
type Family = (&'static str, &'static str, fn(&DurableFlow) -> u64);

fn flow_counters(out: &mut Exposition, durable: &Durable) {
    out.family("streamgauge_events_total", Kind::Counter, "Events by stage and status.");
    for flow in &durable.flows {
        for (stage, status, count) in &flow.events {
            out.count(&[("flow", &flow.name), ("stage", stage), ("status", status)], *count);
        }
    }
    out.family("streamgauge_transactions_started_total", Kind::Counter, "Transactions that started.");
    for flow in &durable.flows {
        out.count(&[("flow", &flow.name)], flow.started);
    }
    out.family("streamgauge_transactions_total", Kind::Counter, "Transactions that ended, once each, settled.");
    for flow in &durable.flows {
        for (outcome, count) in Outcome::ALL.iter().zip(flow.ended) {
            out.count(&[("flow", &flow.name), ("outcome", outcome.name())], count);
        }
    }
    let help = "Transactions whose outcome changed after it had been counted.";
    out.family("streamgauge_transaction_corrections_total", Kind::Counter, help);
    for flow in &durable.flows {
        for (from, to, count) in &flow.corrections {
            out.count(&[("flow", &flow.name), ("from", from), ("to", to)], *count);
        }
    }
    let families: [Family; 5] = [
        ("streamgauge_recovered_total", "Dead-lettered or timed-out transactions that ended ok later.", |f| {
            f.recovered
        }),
        ("streamgauge_after_end_total", "Events after the end of their transaction.", |f| f.after_end),
        ("streamgauge_evicted_total", "Transactions that left because a bound was reached.", |f| f.evicted),
        ("streamgauge_late_total", "Events older than the kept history.", |f| f.late),
        ("streamgauge_duplicates_total", "Repeated copies of events.", |f| f.duplicates),
    ];
    for (name, help, value) in families {
        out.family(name, Kind::Counter, help);
        for flow in &durable.flows {
            out.count(&[("flow", &flow.name)], value(flow));
        }
    }
}

fn histograms(out: &mut Exposition, durable: &Durable, snapshot: &Snapshot) {
    let live = |name: &str| snapshot.flows.iter().find(|f| f.name == name).map(|f| &**f);
    let help = "End-to-end latency of transactions by outcome.";
    out.family("streamgauge_transaction_duration_seconds", Kind::Histogram, help);
    for flow in &durable.flows {
        for (outcome, clock, view) in &flow.durations {
            let seen = live(&flow.name).map(|f| transaction_exemplars(f, outcome, clock)).unwrap_or_default();
            out.histogram(&[("flow", &flow.name), ("outcome", outcome), ("clock", clock)], view, &seen);
        }
    }
    out.family("streamgauge_hop_duration_seconds", Kind::Histogram, "Latency from a stage to the next.");
    for flow in &durable.flows {
        for (from, to, clock, view) in &flow.hops {
            let seen = live(&flow.name).map(|f| hop_exemplars(f, from, to, clock)).unwrap_or_default();
            out.histogram(&[("flow", &flow.name), ("from", from), ("to", to), ("clock", clock)], view, &seen);
        }
    }
}

fn exemplars<'a>(latencies: impl Iterator<Item = &'a LatencyView>, clock: &str) -> Vec<&'a ExemplarView> {
    latencies.filter(|l| l.clock == clock).flat_map(|l| &l.exemplars).collect()
}

fn transaction_exemplars<'a>(flow: &'a FlowView, outcome: &str, clock: &str) -> Vec<&'a ExemplarView> {
    exemplars(flow.windows.iter().filter_map(|w| w.latency_seconds.get(outcome)), clock)
}

fn hop_exemplars<'a>(flow: &'a FlowView, from: &str, to: &str, clock: &str) -> Vec<&'a ExemplarView> {
    let hops = flow.hops.iter().filter(|h| h.from == from && h.to == to);
    exemplars(hops.flat_map(|h| &h.windows), clock)
}

fn flow_gauges(out: &mut Exposition, snapshot: &Snapshot) {
    let flows = || snapshot.flows.iter().map(|f| (&*f.name, f));
    out.family("streamgauge_transactions_in_flight", Kind::Gauge, "Transactions started and not ended.");
    for (name, flow) in flows().filter(|(_, f)| f.transactional) {
        out.count(&[("flow", name)], flow.totals.in_flight);
    }
    out.family(
        "streamgauge_transactions_stuck",
        Kind::Gauge,
        "Transactions that wait longer than their stage's deadline.",
    );
    for (name, flow) in flows() {
        for stage in &flow.stages {
            out.count(&[("flow", name), ("stage", &stage.name)], stage.stuck);
        }
    }
    let help = "Transactions past their deadline while records of their streams were unreadable.";
    out.family("streamgauge_transactions_unexplained", Kind::Gauge, help);
    for (name, flow) in flows().filter(|(_, f)| f.transactional) {
        out.count(&[("flow", name)], flow.totals.unexplained);
    }
    let help = "How far the complete seconds of a flow lie behind the clock.";
    out.family("streamgauge_watermark_age_seconds", Kind::Gauge, help);
    for (name, flow) in flows() {
        out.value(&[("flow", name)], flow.watermark.map(|w| seconds(snapshot.as_of, w)));
    }
}

fn streams(out: &mut Exposition, durable: &Durable) {
    out.family("streamgauge_stream_events_total", Kind::Counter, "Records of a stream that count as events.");
    for stream in &durable.streams {
        out.count(&[("cluster_name", &stream.cluster), ("stream", &stream.stream)], stream.events);
    }
    out.family("streamgauge_decode_errors_total", Kind::Counter, "Records that could not be decoded, by reason.");
    for stream in &durable.streams {
        for (reason, count) in &stream.decode_errors {
            out.count(&[("cluster_name", &stream.cluster), ("stream", &stream.stream), ("reason", reason)], *count);
        }
    }
}

fn ourselves(out: &mut Exposition, app: &App, snapshot: &Snapshot) {
    let status = app.context.status.borrow().clone();
    out.family("streamgauge_source_up", Kind::Gauge, "Whether a cluster answers.");
    for (cluster, _, health) in &status.clusters {
        out.value(&[("cluster_name", cluster)], health.up.map(|up| f64::from(u8::from(up))));
    }
    out.family("streamgauge_checkpoint_age_seconds", Kind::Gauge, "Age of the newest durable checkpoint.");
    out.value(&[], status.checkpoint_at.map(|at| seconds((app.context.now)(), at)));
    out.family("streamgauge_snapshot_age_seconds", Kind::Gauge, "Age of the newest snapshot.");
    out.value(&[], (snapshot.revision > 0).then(|| seconds((app.context.now)(), snapshot.as_of)));
    out.family("streamgauge_limit_overflows", Kind::Gauge, "Entries that went because a bound was reached.");
    for (limit, count) in &snapshot.engine.overflow {
        out.count(&[("limit", limit)], *count);
    }
    let (hub, counters) = (&app.hub, app.hub.counters());
    out.family("streamgauge_live_streams", Kind::Gauge, "Open live streams.");
    out.count(&[], hub.streams() as u64);
    out.family("streamgauge_live_streams_closed_total", Kind::Counter, "Live streams that ended, by who ended them.");
    out.count(&[("reason", "client")], counters.gone.load(Ordering::Relaxed));
    out.count(&[("reason", "stalled")], counters.stalled.load(Ordering::Relaxed));
    out.family("streamgauge_live_frames_skipped_total", Kind::Counter, "Frames that slow clients did not get.");
    out.count(&[], counters.skipped.load(Ordering::Relaxed));
    out.family("streamgauge_http_refused_total", Kind::Counter, "Requests refused because a bound was reached.");
    out.count(&[("limit", "live_streams")], counters.too_many_streams.load(Ordering::Relaxed));
    out.count(&[("limit", "live_views")], counters.too_many_views.load(Ordering::Relaxed));
    out.count(&[("limit", "connections")], app.serve_counters.refused.load(Ordering::Relaxed));
    out.family("streamgauge_build_info", Kind::Gauge, "The build; always 1.");
    out.count(&[("version", status.version)], 1);
}

/// `now - then`, never negative: two readings of a wall clock may cross.
fn seconds(now: Timestamp, then: Timestamp) -> f64 {
    now.since(then).max(0) as f64 / MICROS_PER_SECOND as f64
}
