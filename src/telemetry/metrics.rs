//! Every metric that the process exports of itself by OTLP, declared once.
//!
//! `/metrics` is another matter: it is written from the snapshot. These are for a collector that
//! watches us as it watches any service.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider};

use crate::snapshot::Snapshot;

/// One metric: its name, its unit (UCUM) and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Name.
    pub name: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// Help.
    pub help: &'static str,
}

const fn declared(name: &'static str, unit: &'static str, help: &'static str) -> Declared {
    Declared { name, unit, help }
}

const EVENTS: Declared = declared("streamgauge.stream.events", "{event}", "Records read that count as events.");
const DECODE_ERRORS: Declared =
    declared("streamgauge.stream.decode_errors", "{record}", "Records read that could not be decoded, by reason.");
const BATCHES: Declared = declared("streamgauge.batches", "{batch}", "Batches applied by the engine.");
const CHECKPOINT: Declared = declared("streamgauge.checkpoint.duration", "s", "Time to make one checkpoint durable.");
const TICK: Declared = declared("streamgauge.tick.duration", "s", "Time to build one snapshot.");
const FRAME: Declared = declared("streamgauge.frame.duration", "s", "Time to render and compress one frame of a view.");
const LIVE_STREAMS: Declared = declared("streamgauge.live_streams", "{stream}", "Live streams that are open.");
const HTTP: Declared =
    declared("http.server.request.duration", "s", "Time to answer a request, up to the head of a live stream.");

/// The whole list.
pub const TABLE: [Declared; 8] = [EVENTS, DECODE_ERRORS, BATCHES, CHECKPOINT, TICK, FRAME, LIVE_STREAMS, HTTP];

/// Edges of all histograms, seconds: from a cheap tick to a disk that hangs.
const EDGES: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The instruments that are recorded into. Clone it freely.
#[derive(Clone)]
pub struct Metrics {
    batches: Counter<u64>,
    checkpoint: Histogram<f64>,
    tick: Histogram<f64>,
    frame: Histogram<f64>,
    http: Histogram<f64>,
}

impl Metrics {
    /// Makes all instruments.
    #[must_use]
    pub fn new(meter: &Meter) -> Self {
        let seconds = |d: Declared| {
            let builder = meter.f64_histogram(d.name).with_unit(d.unit).with_description(d.help);
            builder.with_boundaries(EDGES.to_vec()).build()
        };
        let batches = meter.u64_counter(BATCHES.name).with_unit(BATCHES.unit).with_description(BATCHES.help).build();
        batches.add(0, &[]); // 0 is known from the start, not unknown
        Self {
            batches,
            checkpoint: seconds(CHECKPOINT),
            tick: seconds(TICK),
            frame: seconds(FRAME),
            http: seconds(HTTP),
        }
    }

    /// Instruments that lead nowhere: for what is measured by others, and for tests.
    #[must_use]
    pub fn off() -> Self {
        Self::new(&NoopMeterProvider::new().meter(super::SERVICE))
    }

    /// The engine applied batches.
    pub fn batches(&self, count: u64) {
        self.batches.add(count, &[]);
    }

    /// A checkpoint became durable, or failed.
    pub fn checkpoint(&self, seconds: f64, ok: bool) {
        let error = [KeyValue::new("error.type", "store")];
        self.checkpoint.record(seconds, if ok { &[] } else { &error });
    }

    /// A snapshot was built.
    pub fn tick(&self, seconds: f64) {
        self.tick.record(seconds, &[]);
    }

    /// A frame of a view was rendered. `view` is a name of ours, never a path as asked for.
    pub fn frame(&self, seconds: f64, view: &'static str) {
        self.frame.record(seconds, &[KeyValue::new("streamgauge.view", view)]);
    }

    /// A request was answered. `route` is the template (`/flows/{flow}`), never the path: its values are bounded.
    pub fn http(&self, seconds: f64, method: &'static str, route: &str, status: u16) {
        let labels = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        self.http.record(seconds, &labels);
    }
}

/// Reads the rest from what is there anyway, whenever a collection asks: nothing is counted twice.
pub fn observe(
    meter: &Meter,
    snapshot: impl Fn() -> Arc<Snapshot> + Send + Sync + Clone + 'static,
    live_streams: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let newest = snapshot.clone();
    let events = meter.u64_observable_counter(EVENTS.name).with_unit(EVENTS.unit).with_description(EVENTS.help);
    events
        .with_callback(move |out| {
            for s in &newest().streams {
                out.observe(s.events, &stream_labels(&s.cluster, &s.stream));
            }
        })
        .build();
    let errors = meter.u64_observable_counter(DECODE_ERRORS.name).with_unit(DECODE_ERRORS.unit);
    errors
        .with_description(DECODE_ERRORS.help)
        .with_callback(move |out| {
            for s in &snapshot().streams {
                for (reason, count) in &s.decode_errors {
                    let [cluster, stream] = stream_labels(&s.cluster, &s.stream);
                    out.observe(*count, &[cluster, stream, KeyValue::new("error.type", *reason)]);
                }
            }
        })
        .build();
    let live = meter.u64_observable_gauge(LIVE_STREAMS.name).with_unit(LIVE_STREAMS.unit);
    live.with_description(LIVE_STREAMS.help).with_callback(move |out| out.observe(live_streams(), &[])).build();
}

fn stream_labels(cluster: &str, stream: &str) -> [KeyValue; 2] {
    [
        KeyValue::new("streamgauge.cluster.name", cluster.to_owned()),
        KeyValue::new("messaging.destination.name", stream.to_owned()),
    ]
}
