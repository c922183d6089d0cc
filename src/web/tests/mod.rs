//! The web edge from outside: requests to the router, and sockets where it is about sockets.

mod answers;
mod api;
mod guard;
mod letters;
mod live;
mod post;
mod transactions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use super::{Publish, Status, WebConfig, WebContext, router};
use crate::broker::{Appended, Boxed, NewRecord, Write, WriteError};
use crate::model::{Limits, SourceKey, Timestamp};
use crate::snapshot::{
    Durable, DurableFlow, DurableStream, FlowView, HistogramView, History, LatencyView, Outcomes, Point, Series,
    Snapshot, SourceView, StageView, Totals, WINDOWS, WindowView,
};
use crate::store::{Claim, IdempotencyKeys, StoreError, StoredAnswer};

/// 2026-11-22T10:00:00Z.
pub(super) const NOW: i64 = 1_795_341_600;

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

/// The sending ends of what handlers read, and the fakes behind them.
pub(super) struct Fixture {
    pub(super) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(super) status: watch::Sender<Arc<Status>>,
    pub(super) _durable: watch::Sender<Arc<Durable>>,
    pub(super) log: Arc<Log>,
    pub(super) context: WebContext,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let status = Status { version: "1.2.3", boot: "boot-1".to_owned(), restored: true, ..Status::default() };
        let (snapshot, snapshots) = watch::channel(Arc::new(snapshot(1)));
        let (durable, durables) = watch::channel(Arc::new(durables()));
        let (status, statuses) = watch::channel(Arc::new(status));
        let log = Arc::new(Log::default());
        let write: Arc<dyn Write> = Arc::clone(&log) as _;
        let context = WebContext {
            snapshot: snapshots,
            durable: durables,
            status: statuses,
            publish: Some(Publish { write, cluster: "main".to_owned(), stream: "orders".to_owned() }),
            idempotency: Arc::new(Keys::default()),
            limits: Arc::new(Limits::default()),
            metrics: crate::telemetry::Metrics::off(),
            now,
        };
        Self { snapshot, status, _durable: durable, log, context }
    }

    pub(super) fn router(&self, config: WebConfig) -> Router {
        router(self.context.clone(), config)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        send(&self.router(WebConfig::default()), Request::get(path).body(Body::empty()).unwrap()).await
    }
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

pub(super) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, 10 << 20).await.unwrap();
    Answer { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// A read model with one flow of every kind of number; `revision` shows in its rate.
pub(super) fn snapshot(revision: u64) -> Snapshot {
    let outcomes = Outcomes { ok: 7, failed: 1, ..Outcomes::default() };
    let latency = LatencyView { clock: "event", count: 8, p99: Some(1.5), ..LatencyView::default() };
    let window = |name| WindowView {
        name,
        from: Some(Timestamp::from_seconds(NOW - 60)),
        to: Some(now()),
        complete: true,
        tps: Some(revision as f64 + 0.5),
        outcomes,
        latency_seconds: [("ok", latency.clone())].into(),
        ..WindowView::default()
    };
    let point = |t| Point { t, complete: true, events: 2, ended: [1, 0, 0, 0, 0], ..Point::default() };
    let series = |step| {
        let points = (NOW - 3_600..NOW).step_by(usize::try_from(step).unwrap()).map(point);
        Series { step, chunks: vec![Arc::new(points.collect())] }
    };
    let key = SourceKey { cluster: "main".into(), stream: "orders".into(), generation: 0, partition: 3 };
    let checkout = FlowView {
        name: "checkout".to_owned(),
        watermark: Some(now()),
        streams: [("main".into(), "orders".into())].into(),
        transactional: true,
        totals: Totals { events: 20, started: 9, in_flight: 1, ended: 8, outcomes, ..Totals::default() },
        windows: WINDOWS.iter().map(|w| window(w.0)).collect(),
        stages: vec![StageView { name: "paid \"now\"".to_owned(), stuck: 2, ..StageView::default() }],
        history: History { s1: series(1), s10: series(10), m1: series(60) },
        ..FlowView::default()
    };
    let unread = FlowView { name: "a/b c".to_owned(), ..FlowView::default() };
    let source = SourceView {
        key,
        state: "reading",
        reason: String::new(),
        since: now(),
        next: 90,
        end: Some(100),
        log_start: Some(0),
        confirmed_at: None,
        expired: 0,
        undecodable: 1,
        watermark: None,
        frontier: None,
        last: None,
        waiting: false,
    };
    let flows = vec![Arc::new(unread), Arc::new(checkout)];
    Snapshot { revision, as_of: now(), flows, sources: vec![source], ..Snapshot::default() }
}

fn durables() -> Durable {
    let view = HistogramView { count: 3, sum: 2.5, zero: 0, positive: vec![(0, 2), (40, 1)], negative: vec![] };
    let flow = DurableFlow {
        name: "checkout".to_owned(),
        events: vec![("paid \"now\"".to_owned(), "ok", 5)],
        started: 9,
        ended: [7, 1, 0, 0, 0],
        corrections: vec![("timed_out", "ok", 1)],
        durations: vec![("ok", "event", view.clone())],
        hops: vec![("a".to_owned(), "b".to_owned(), "event", view)],
        ..DurableFlow::default()
    };
    let stream = DurableStream {
        cluster: "main".to_owned(),
        stream: "orders".to_owned(),
        events: 12,
        decode_errors: vec![("invalid_json", 1)],
    };
    Durable { checkpoint: 1, at: now(), flows: vec![flow], streams: vec![stream] }
}

/// A log that keeps what it is given, or is down.
#[derive(Default)]
pub(super) struct Log {
    pub(super) records: Mutex<Vec<NewRecord>>,
    pub(super) down: std::sync::atomic::AtomicBool,
    /// Held by a test to keep an append under way.
    pub(super) gate: tokio::sync::Mutex<()>,
}

impl Write for Log {
    fn append<'a>(&'a self, stream: &'a str, records: Vec<NewRecord>) -> Boxed<'a, Result<Vec<Appended>, WriteError>> {
        Box::pin(async move {
            let _open = self.gate.lock().await;
            if self.down.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(WriteError::Unavailable("no leader".to_owned()));
            }
            let mut kept = self.records.lock().unwrap();
            let first = kept.len() as u64;
            let places = (first..).take(records.len());
            let appended = places.map(|position| Appended { stream: stream.to_owned(), partition: 0, position });
            let appended = appended.collect();
            kept.extend(records);
            Ok(appended)
        })
    }
}

/// Idempotency keys in memory.
#[derive(Default)]
struct Keys(Mutex<HashMap<String, Known>>);

/// Hash of the body, and the answer once there is one.
type Known = ([u8; 32], Option<StoredAnswer>);

impl IdempotencyKeys for Keys {
    fn claim(&self, key: &str, body: [u8; 32], _: Timestamp) -> Result<Claim, StoreError> {
        let mut keys = self.0.lock().unwrap();
        Ok(match keys.get(key) {
            None => {
                keys.insert(key.to_owned(), (body, None));
                Claim::Fresh
            }
            Some((other, _)) if *other != body => Claim::OtherBody,
            Some((_, None)) => Claim::InProgress,
            Some((_, Some(answer))) => Claim::Replay(answer.clone()),
        })
    }

    fn finish(&self, key: &str, answer: &StoredAnswer) -> Result<(), StoreError> {
        self.0.lock().unwrap().get_mut(key).unwrap().1 = Some(answer.clone());
        Ok(())
    }

    fn release(&self, key: &str) {
        self.0.lock().unwrap().remove(key);
    }
}
