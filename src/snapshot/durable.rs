//! What `/metrics` shows: counters as of the last durable checkpoint.

use crate::model::Timestamp;

/// What `/metrics` shows of the flows: counters as of the last durable checkpoint; they never decrease.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// Revision of the checkpoint.
    pub checkpoint: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// Flows by name.
    pub flows: Vec<DurableFlow>,
    /// Streams: cluster, stream, events, decode errors by reason.
    pub streams: Vec<DurableStream>,
}

/// Counters of one flow.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of the metrics in the contract")]
pub struct DurableFlow {
    pub name: String,
    /// `(stage, status, count)`.
    pub events: Vec<(String, &'static str, u64)>,
    pub started: u64,
    /// Settled transactions in the order of `Outcome::ALL`.
    pub ended: [u64; 5],
    /// `(from, to, count)`.
    pub corrections: Vec<(&'static str, &'static str, u64)>,
    /// `(outcome, clock, histogram)`.
    pub durations: Vec<(&'static str, &'static str, HistogramView)>,
    /// `(from stage, to stage, clock, histogram)`.
    pub hops: Vec<(String, String, &'static str, HistogramView)>,
    pub recovered: u64,
    pub after_end: u64,
    pub evicted: u64,
    pub late: u64,
    pub duplicates: u64,
}

/// Counters of one stream.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of the metrics in the contract")]
pub struct DurableStream {
    pub cluster: String,
    pub stream: String,
    pub events: u64,
    pub decode_errors: Vec<(&'static str, u64)>,
}

/// A base-2 exponential histogram of scale 5: bucket `i` counts `2^(i/32) < v <= 2^((i+1)/32)` seconds,
/// as in OTLP exponential histograms and Prometheus native histograms of schema 5.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramView {
    /// Samples, all of them.
    pub count: u64,
    /// Sum in seconds.
    pub sum: f64,
    /// Samples that are exactly zero.
    pub zero: u64,
    /// `(index, count)` of positive samples, ascending.
    pub positive: Vec<(i32, u64)>,
    /// `(index, count)` of negative samples by absolute value, ascending.
    pub negative: Vec<(i32, u64)>,
}
