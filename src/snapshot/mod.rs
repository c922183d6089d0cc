//! The read model: immutable, with a revision. Pages, JSON, frames and rules read only this.
//!
//! Unknown is `None`, never 0. Durations are seconds as `f64` where they are for people and APIs,
//! and come from histograms of at most 1.1 % relative error.

mod course;
mod dlq;
mod durable;
mod history;
mod lag;
mod row;
mod small;
mod transaction;
mod unread;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{SourceKey, TimedPosition, Timestamp};
pub use course::{COURSE_POINTS, Course, CoursePoint, Seen};
pub use dlq::{
    DlqBoard, DlqCounted, DlqLeftOut, DlqStream, DlqWindow, FoundBy, LetterView, PeekQuestion, Peeked, PeekedLetter,
    RedriveView,
};
pub use durable::{Durable, DurableFlow, DurableStream, HistogramView};
pub use history::{History, Point, Series};
pub use lag::{GroupView, LagBoard, LagCluster, LagState, PartitionTrouble, PushState, PushView, Reason, ToldLag};
pub use row::{AgeMethod, Burrow, Confidence, LagRow, LagRows, MemberName, PushedCommit};
pub use small::{MaybeCount, MaybeReal};
pub use transaction::{Meaning, Measured, TransactionEvent, TransactionKey, TransactionState, TransactionView, Waits};
pub use unread::beside_unknown;

/// The rolling windows, in seconds, and their names in the API.
pub const WINDOWS: [(&str, i64); 5] = [("10s", 10), ("1m", 60), ("5m", 300), ("15m", 900), ("1h", 3_600)];

/// Rows of a heatmap column: row `r` counts latencies in `[2^(r-10), 2^(r-9))` seconds (1 ms .. 4,096 s);
/// row 0 also takes what is less (negatives too), the last row what is more.
pub const HEAT_ROWS: usize = 22;

/// Everything that was known at one tick.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Rises by one with each snapshot of this process.
    pub revision: u64,
    /// Wall clock of the tick.
    pub as_of: Timestamp,
    /// Flows by name.
    pub flows: Vec<Arc<FlowView>>,
    /// Streams by cluster and name.
    pub streams: Vec<StreamView>,
    /// Partitions by key.
    pub sources: Vec<SourceView>,
    /// Of the engine itself.
    pub engine: EngineView,
    /// Groups and their lag, as of their newest survey.
    pub lag: Arc<LagBoard>,
    /// Dead letters, as of their newest survey.
    pub dlq: Arc<DlqBoard>,
}

/// Health numbers of the engine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EngineView {
    /// Full transaction entries in memory.
    pub transactions: usize,
    /// Tombstones in memory.
    pub tombstones: usize,
    /// Event ids remembered.
    pub dedup_events: usize,
    /// Bytes of the transaction pages.
    pub page_bytes: usize,
    /// Events whose cut time lies ahead of the clock.
    pub future: u64,
    /// Entries that went because a bound was reached, by the bound's name.
    pub overflow: BTreeMap<&'static str, u64>,
    /// Set once a flow's books did not balance: a defect of ours.
    pub books_error: Option<String>,
}

/// Since when and why numbers may be inexact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inexact {
    /// Cut time from which on.
    pub at: Timestamp,
    /// Words for an operator; several reasons are parted by `; `.
    pub reason: String,
}

/// One flow.
#[derive(Clone, Debug, Default)]
pub struct FlowView {
    /// Name.
    pub name: String,
    /// Seconds before it are complete; `None` before anything was read.
    pub watermark: Option<Timestamp>,
    /// The streams that feed it, by cluster and name: those in which its events were seen.
    pub streams: Arc<[(Arc<str>, Arc<str>)]>,
    /// Sources left out of the watermark because they cannot be read (its seconds are `partial`).
    pub left_out: Vec<SourceKey>,
    /// Set where exactness no longer holds.
    pub inexact: Option<Inexact>,
    /// False where the flow carries events without transactions: then TPS is "no transactions here", not 0.
    pub transactional: bool,
    /// True where the flow declares neither `ends_at` nor `timeout` and no event ever carried an outcome: the page
    /// offers the `ends_at` to paste. (Its quiet transactions leave by the configuration alone.)
    pub never_ends: bool,
    /// Counters since the state began.
    pub totals: Totals,
    /// Rolling windows, as in [`WINDOWS`].
    pub windows: Vec<WindowView>,
    /// Stages in declared order, then as seen.
    pub stages: Vec<StageView>,
    /// Hops that were ever made, in declared order, then by name.
    pub hops: Vec<HopView>,
    /// The transaction longest in flight.
    pub oldest: Option<WaitingView>,
    /// Stuck transactions, oldest first, at most `limits.stuck_list`.
    pub stuck: Vec<WaitingView>,
    /// Exact number of stuck transactions.
    pub stuck_total: u64,
    /// History for charts.
    pub history: History,
}

impl FlowView {
    /// True where the partition lies in a stream that feeds the flow.
    #[must_use]
    pub fn is_fed_by(&self, source: &SourceKey) -> bool {
        self.streams.iter().any(|(cluster, stream)| *cluster == source.cluster && *stream == source.stream)
    }
}

/// Counters of a flow since its state began. `started` = the sum of all that follow `in_flight` in the books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the contract and of docs/SEMANTICS.md")]
pub struct Totals {
    pub events: u64,
    pub started: u64,
    pub in_flight: u64,
    pub ended: u64,
    pub outcomes: Outcomes,
    pub recovered: u64,
    pub joined: u64,
    pub open_ended: u64,
    pub after_end: u64,
    pub evicted: u64,
    pub unexplained: u64,
    pub duplicates: u64,
    pub late: u64,
    pub truncated: u64,
    /// Latencies below zero.
    pub negative: u64,
}

/// Transactions by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the outcomes")]
pub struct Outcomes {
    pub ok: u64,
    pub failed: u64,
    pub compensated: u64,
    pub dead_lettered: u64,
    pub timed_out: u64,
}

impl Outcomes {
    /// In the order of [`crate::model::Outcome::ALL`].
    #[must_use]
    pub const fn as_array(&self) -> [u64; 5] {
        [self.ok, self.failed, self.compensated, self.dead_lettered, self.timed_out]
    }

    /// From the order of [`crate::model::Outcome::ALL`].
    #[must_use]
    pub const fn from_array(a: [u64; 5]) -> Self {
        Self { ok: a[0], failed: a[1], compensated: a[2], dead_lettered: a[3], timed_out: a[4] }
    }

    /// All together.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.ok + self.failed + self.compensated + self.dead_lettered + self.timed_out
    }
}

/// One rolling window of complete seconds: `from <= t < to`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WindowView {
    /// Name of the window, as in [`WINDOWS`].
    #[serde(skip)]
    pub name: &'static str,
    /// First second; `None` before anything was read.
    pub from: Option<Timestamp>,
    /// End: the watermark's second.
    pub to: Option<Timestamp>,
    /// False while the state is younger than the window.
    pub complete: bool,
    /// True where a source could not be read within it.
    pub partial: bool,
    /// Transactions ended per second; `None`: no transactions here, or nothing read.
    pub tps: Option<f64>,
    /// Transactions started per second.
    pub started_per_second: Option<f64>,
    /// Events per second.
    pub events_per_second: Option<f64>,
    /// Ended within it, by outcome.
    pub outcomes: Outcomes,
    /// Recovered within it.
    pub recovered: u64,
    /// End-to-end latency by outcome name (only outcomes that have a sample).
    pub latency_seconds: BTreeMap<&'static str, LatencyView>,
}

/// The complete seconds that a rate is over: `from <= t < to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanView {
    /// First second; `None` before anything was read.
    pub from: Option<Timestamp>,
    /// End: the watermark's second.
    pub to: Option<Timestamp>,
    /// False while the first event is younger than the window.
    pub complete: bool,
}

impl SpanView {
    /// Its length in seconds; `None` before anything was read.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        Some(self.to?.since(self.from?) as f64 / 1e6)
    }
}

/// Percentiles of one histogram.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LatencyView {
    /// `event`, `record` or `mixed`.
    pub clock: &'static str,
    /// Samples.
    pub count: u64,
    /// Samples below zero.
    pub negative: u64,
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Upper edge of the top bucket.
    pub max: Option<f64>,
    /// Trace ids of real transactions at p50, p95, p99 and max, lower-case hex, where one is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<ExemplarView>,
}

/// A real transaction behind a percentile.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ExemplarView {
    /// `p50`, `p95`, `p99` or `max`.
    pub at: &'static str,
    /// 32 hex digits.
    pub trace_id: String,
    /// Its latency.
    pub seconds: f64,
    /// Transaction id, if still known.
    pub transaction_id: String,
    /// Cut time of its end. Pages and metrics show it.
    #[serde(skip)]
    pub ended_at: Timestamp,
}

/// One stage of a flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageView {
    /// Name.
    pub name: String,
    /// Events since the state began.
    pub events: u64,
    /// By status, in the order of [`crate::model::Status::ALL`].
    pub by_status: [u64; 5],
    /// Transactions waiting here.
    pub waiting: u64,
    /// Of those, longer than the deadline.
    pub stuck: u64,
    /// The deadline in use, seconds; `None` while unknown.
    pub deadline_seconds: Option<f64>,
    /// True where the deadline was learned, not configured.
    pub deadline_learned: bool,
    /// Events per second in each window of [`WINDOWS`]; `None` before anything was read.
    pub per_second: [Option<f64>; 5],
    /// Failed, retried and dead-lettered events per second in each window.
    pub errors_per_second: [Option<f64>; 5],
}

/// One hop of a flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HopView {
    /// From stage.
    pub from: String,
    /// To stage.
    pub to: String,
    /// In each window of [`WINDOWS`].
    pub windows: Vec<LatencyView>,
}

/// A transaction in flight.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WaitingView {
    /// Transaction id.
    pub transaction_id: String,
    /// Cut time of its start.
    pub started_at: Timestamp,
    /// Seconds since its start, at the snapshot's time.
    pub age_seconds: f64,
    /// The stage whose event is awaited (declared flows), else the last one seen.
    pub waiting_at: String,
    /// Seconds since its last event.
    pub waiting_seconds: f64,
    /// 32 hex digits.
    pub trace_id: String,
}

/// One stream.
#[derive(Clone, Debug, Default)]
pub struct StreamView {
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub stream: String,
    /// `events`, `dlq` or `lag`.
    pub role: &'static str,
    /// Records read that count as events, since the state began.
    pub events: u64,
    /// Undecodable records by reason.
    pub decode_errors: BTreeMap<&'static str, u64>,
    /// Records without a value.
    pub tombstones: u64,
    /// Records counted without a transaction.
    pub opaque: u64,
    /// Events per second in each window of [`WINDOWS`]; `None` before anything was read.
    pub per_second: [Option<f64>; 5],
    /// What each of these rates is over.
    pub spans: [SpanView; 5],
    /// Median of observed - cut time at the tail, seconds; `None` away from the tail.
    pub clock_offset_seconds: Option<f64>,
    /// Watermark of the stream.
    pub watermark: Option<Timestamp>,
}

/// One partition that we read.
#[derive(Clone, Debug)]
pub struct SourceView {
    /// Which partition.
    pub key: SourceKey,
    /// `opening reading at_end unreachable gone`.
    pub state: &'static str,
    /// Why, where it cannot be read.
    pub reason: String,
    /// Since when it has this state.
    pub since: Timestamp,
    /// Next position that we read.
    pub next: u64,
    /// Last stable end, as last confirmed.
    pub end: Option<u64>,
    /// First position that the log still has.
    pub log_start: Option<u64>,
    /// When `end` was confirmed.
    pub confirmed_at: Option<Timestamp>,
    /// Upper bound of records that expired before we read them.
    pub expired: u64,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Watermark of the partition.
    pub watermark: Option<Timestamp>,
    /// Cut time of the last record.
    pub frontier: Option<Timestamp>,
    /// The last record that we read and that has a time of its own.
    pub last: Option<TimedPosition>,
    /// Reading began in the middle of the log, and no record was read since.
    pub waiting: bool,
}
