//! The shapes of the JSON API: the snapshot in the words of the contract.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Status;
use super::api::Rfc3339;
use crate::model::{Outcome, SourceKey, Timestamp};
use crate::snapshot::{
    FlowView, HopView, Inexact, LatencyView, Outcomes, Point, SourceView, SpanView, StageView, StreamView, Totals,
    WINDOWS, WaitingView, WindowView,
};

/// Numbers by window name.
type Windows<T> = BTreeMap<&'static str, T>;

fn time(at: Option<Timestamp>) -> Option<Rfc3339> {
    at.map(Rfc3339)
}

/// Values in the order of [`WINDOWS`] by their names.
fn by_window<T, U>(values: &[T], each: impl Fn(&T) -> U) -> Windows<U> {
    WINDOWS.iter().zip(values).map(|((name, _), value)| (*name, each(value))).collect()
}

#[derive(Serialize)]
struct InexactSince<'a> {
    at: Rfc3339,
    reason: &'a str,
}

fn inexact(since: Option<&Inexact>) -> Option<InexactSince<'_>> {
    since.map(|i| InexactSince { at: Rfc3339(i.at), reason: &i.reason })
}

#[derive(Serialize)]
struct Window<'a> {
    from: Option<Rfc3339>,
    to: Option<Rfc3339>,
    complete: bool,
    partial: bool,
    tps: Option<f64>,
    started_per_second: Option<f64>,
    events_per_second: Option<f64>,
    outcomes: Outcomes,
    recovered: u64,
    latency_seconds: &'a BTreeMap<&'static str, LatencyView>,
}

impl<'a> Window<'a> {
    fn of(view: &'a WindowView) -> Self {
        Self {
            from: time(view.from),
            to: time(view.to),
            complete: view.complete,
            partial: view.partial,
            tps: view.tps,
            started_per_second: view.started_per_second,
            events_per_second: view.events_per_second,
            outcomes: view.outcomes,
            recovered: view.recovered,
            latency_seconds: &view.latency_seconds,
        }
    }
}

fn windows(views: &[WindowView]) -> Windows<Window<'_>> {
    views.iter().map(|w| (w.name, Window::of(w))).collect()
}

/// One flow of the list.
#[derive(Serialize)]
pub struct FlowSummary<'a> {
    flow: &'a str,
    watermark: Option<Rfc3339>,
    inexact_since: Option<InexactSince<'a>>,
    transactional: bool,
    never_ends: bool,
    totals: &'a Totals,
    windows: Windows<Window<'a>>,
    stuck: u64,
    left_out: &'a [SourceKey],
}

impl<'a> FlowSummary<'a> {
    /// Of a flow.
    #[must_use]
    pub fn of(view: &'a FlowView) -> Self {
        Self {
            flow: &view.name,
            watermark: time(view.watermark),
            inexact_since: inexact(view.inexact.as_ref()),
            transactional: view.transactional,
            never_ends: view.never_ends,
            totals: &view.totals,
            windows: windows(&view.windows),
            stuck: view.stuck_total,
            left_out: &view.left_out,
        }
    }
}

#[derive(Serialize)]
struct StageWindow {
    events_per_second: Option<f64>,
    errors_per_second: Option<f64>,
}

#[derive(Serialize)]
struct Stage<'a> {
    stage: &'a str,
    events: u64,
    statuses: BTreeMap<&'static str, u64>,
    waiting: u64,
    stuck: u64,
    deadline_seconds: Option<f64>,
    deadline_learned: bool,
    windows: Windows<StageWindow>,
}

impl<'a> Stage<'a> {
    fn of(view: &'a StageView) -> Self {
        let rates: Vec<_> = view.per_second.iter().zip(view.errors_per_second).collect();
        let rate = |(events, errors): &(&Option<f64>, Option<f64>)| StageWindow {
            events_per_second: **events,
            errors_per_second: *errors,
        };
        Self {
            stage: &view.name,
            events: view.events,
            statuses: crate::model::Status::ALL.iter().map(|s| s.name()).zip(view.by_status).collect(),
            waiting: view.waiting,
            stuck: view.stuck,
            deadline_seconds: view.deadline_seconds,
            deadline_learned: view.deadline_learned,
            windows: by_window(&rates, rate),
        }
    }
}

#[derive(Serialize)]
struct Hop<'a> {
    from: &'a str,
    to: &'a str,
    windows: Windows<&'a LatencyView>,
}

impl<'a> Hop<'a> {
    fn of(view: &'a HopView) -> Self {
        let windows = WINDOWS.iter().zip(&view.windows).map(|((name, _), latency)| (*name, latency)).collect();
        Self { from: &view.from, to: &view.to, windows }
    }
}

#[derive(Serialize)]
struct Waiting<'a> {
    transaction_id: &'a str,
    started_at: Rfc3339,
    age_seconds: f64,
    waiting_at: &'a str,
    waiting_seconds: f64,
    trace_id: &'a str,
}

impl<'a> Waiting<'a> {
    fn of(view: &'a WaitingView) -> Self {
        Self {
            transaction_id: &view.transaction_id,
            started_at: Rfc3339(view.started_at),
            age_seconds: view.age_seconds,
            waiting_at: &view.waiting_at,
            waiting_seconds: view.waiting_seconds,
            trace_id: &view.trace_id,
        }
    }
}

/// One flow in full.
#[derive(Serialize)]
pub struct Flow<'a> {
    #[serde(flatten)]
    summary: FlowSummary<'a>,
    stages: Vec<Stage<'a>>,
    hops: Vec<Hop<'a>>,
    oldest_in_flight: Option<Waiting<'a>>,
    stuck_transactions: Vec<Waiting<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<Vec<Source<'a>>>,
}

impl<'a> Flow<'a> {
    /// Of a flow and all partitions, of which those that feed it are shown.
    #[must_use]
    pub fn of(view: &'a FlowView, sources: Option<&'a [SourceView]>) -> Self {
        let feed = |all: &'a [SourceView]| all.iter().filter(|s| view.is_fed_by(&s.key)).map(Source::of).collect();
        Self {
            summary: FlowSummary::of(view),
            stages: view.stages.iter().map(Stage::of).collect(),
            hops: view.hops.iter().map(Hop::of).collect(),
            oldest_in_flight: view.oldest.as_ref().map(Waiting::of),
            stuck_transactions: view.stuck.iter().map(Waiting::of).collect(),
            inputs: sources.map(feed),
        }
    }
}

/// What the rate of a stream is over.
#[derive(Serialize)]
struct StreamWindow {
    from: Option<Rfc3339>,
    to: Option<Rfc3339>,
    complete: bool,
    events_per_second: Option<f64>,
}

/// One stream.
#[derive(Serialize)]
pub struct Stream<'a> {
    cluster: &'a str,
    stream: &'a str,
    role: &'static str,
    events: u64,
    undecodable: &'a BTreeMap<&'static str, u64>,
    tombstones: u64,
    opaque: u64,
    events_per_second: Windows<Option<f64>>,
    windows: Windows<StreamWindow>,
    clock_offset_seconds: Option<f64>,
    watermark: Option<Rfc3339>,
}

impl<'a> Stream<'a> {
    /// Of a stream.
    #[must_use]
    pub fn of(view: &'a StreamView) -> Self {
        let rates: Vec<_> = view.spans.iter().zip(view.per_second).collect();
        let window = |(span, rate): &(&SpanView, Option<f64>)| StreamWindow {
            from: time(span.from),
            to: time(span.to),
            complete: span.complete,
            events_per_second: *rate,
        };
        Self {
            cluster: &view.cluster,
            stream: &view.stream,
            role: view.role,
            events: view.events,
            undecodable: &view.decode_errors,
            tombstones: view.tombstones,
            opaque: view.opaque,
            events_per_second: by_window(&view.per_second, |v| *v),
            windows: by_window(&rates, window),
            clock_offset_seconds: view.clock_offset_seconds,
            watermark: time(view.watermark),
        }
    }
}

/// One partition.
#[derive(Serialize)]
pub struct Source<'a> {
    cluster: &'a str,
    stream: &'a str,
    generation: u32,
    partition: u32,
    next: u64,
    end: Option<u64>,
    log_start: Option<u64>,
    expired: u64,
    undecodable: u64,
    state: &'static str,
    reason: &'a str,
    since: Rfc3339,
    confirmed_at: Option<Rfc3339>,
    watermark: Option<Rfc3339>,
    frontier: Option<Rfc3339>,
}

impl<'a> Source<'a> {
    /// Of a partition.
    #[must_use]
    pub fn of(view: &'a SourceView) -> Self {
        Self {
            cluster: &view.key.cluster,
            stream: &view.key.stream,
            generation: view.key.generation,
            partition: view.key.partition,
            next: view.next,
            end: view.end,
            log_start: view.log_start,
            expired: view.expired,
            undecodable: view.undecodable,
            state: view.state,
            reason: &view.reason,
            since: Rfc3339(view.since),
            confirmed_at: time(view.confirmed_at),
            watermark: time(view.watermark),
            frontier: time(view.frontier),
        }
    }
}

/// One cluster.
#[derive(Serialize)]
struct Cluster<'a> {
    cluster: &'a str,
    kind: &'static str,
    up: Option<bool>,
    since: Option<Rfc3339>,
    last_seen: Option<Rfc3339>,
    detail: &'a str,
    cluster_id: Option<&'a str>,
}

/// All clusters.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Clusters<'a>(Vec<Cluster<'a>>);

impl<'a> Clusters<'a> {
    /// As the readers last saw them.
    #[must_use]
    pub fn of(status: &'a Status) -> Self {
        let each = |(cluster, kind, health): &'a (String, &'static str, crate::broker::ClusterHealth)| Cluster {
            cluster,
            kind,
            up: health.up,
            since: time(health.since),
            last_seen: time(health.last_seen),
            detail: &health.detail,
            cluster_id: health.cluster_id.as_deref(),
        };
        Self(status.clusters.iter().map(each).collect())
    }
}

#[derive(Serialize)]
struct HistoryPoint<'a> {
    t: Rfc3339,
    complete: bool,
    partial: bool,
    started: u32,
    events: u32,
    ended: BTreeMap<&'static str, u32>,
    p50: Option<f32>,
    p95: Option<f32>,
    p99: Option<f32>,
    max: Option<f32>,
    heat: &'a [(u8, u32)],
}

/// A stretch of history. Seconds that are not there are unknown.
#[derive(Serialize)]
pub struct Points<'a> {
    flow: &'a str,
    step_seconds: i64,
    from: Rfc3339,
    to: Rfc3339,
    points: Vec<HistoryPoint<'a>>,
}

impl<'a> Points<'a> {
    /// Of points in order of time.
    #[must_use]
    pub fn of(flow: &'a str, step: i64, from: i64, to: i64, points: impl Iterator<Item = &'a Point>) -> Self {
        let each = |p: &'a Point| HistoryPoint {
            t: Rfc3339(Timestamp::from_seconds(p.t)),
            complete: p.complete,
            partial: p.partial,
            started: p.started,
            events: p.events,
            ended: Outcome::ALL.iter().map(|o| o.name()).zip(p.ended).collect(),
            p50: p.p50,
            p95: p.p95,
            p99: p.p99,
            max: p.max,
            heat: &p.heat,
        };
        let (from, to) = (Rfc3339(Timestamp::from_seconds(from)), Rfc3339(Timestamp::from_seconds(to)));
        Self { flow, step_seconds: step, from, to, points: points.map(each).collect() }
    }
}
