//! Made-up snapshots: every state that a page must be able to say. Deterministic in `now` and `began`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sg::broker::{ClusterHealth, DecodeSample};
use super::sg::model::{DecodeReason, SourceKey, Timestamp};
use super::sg::snapshot::{
    EngineView, FlowView, History, Inexact, Outcomes, Point, Series, Snapshot, SourceView, SpanView, StreamView,
    Totals, WINDOWS, WindowView,
};
use super::sg::web::Status;

pub mod lag;
mod traffic;

use traffic::{Shape, flow};

/// All scenarios by name.
pub const SCENARIOS: [&str; 10] =
    ["calm", "incident", "one", "many", "unreachable", "empty", "opening", "waiting", "first", "hostile"];

const CHECKOUT: Shape = Shape {
    name: "checkout",
    stages: &["order.placed", "payment.authorized", "stock.reserved", "parcel.packed", "order.shipped"],
    tps: 412.0,
    median: 0.24,
    incident: true,
};
const REFUND: Shape = Shape {
    name: "refund",
    stages: &["refund.asked", "refund.checked", "refund.paid"],
    tps: 18.0,
    median: 0.12,
    incident: false,
};
const PAYOUT: Shape = Shape {
    name: "payout",
    stages: &["payout.batched", "bank.sent", "bank.settled"],
    tps: 6.1,
    median: 12.0,
    incident: false,
};

/// Snapshot and status of a scenario at `now`; an incident, where there is one, began 170 s before `began`.
pub fn scenario(name: &str, now: Timestamp, began: Timestamp) -> (Snapshot, Status) {
    let start = began.second() - 170;
    let incident = !matches!(name, "calm" | "many" | "unreachable");
    let flow = |shape: &Shape| flow(shape, now, (incident && shape.incident).then_some(start));
    let mut status = status(now);
    let mut snapshot =
        Snapshot { revision: now.0.unsigned_abs() / 250_000, as_of: now, engine: engine(), ..Snapshot::default() };
    snapshot.lag = Arc::new(lag::board(name, now));
    snapshot.dlq = Arc::new(lag::letters(name, now));
    (status.peek, status.redrive) = (true, true);
    match name {
        "empty" | "first" => {
            status.clusters.clear();
            status.first_steps = name == "first";
            status.checkpoint_at = None;
            status.samples.clear();
            snapshot.engine = EngineView::default();
            return (snapshot, status);
        }
        "opening" => {
            status.clusters = vec![("main".to_owned(), "kafka", ClusterHealth::default())];
            status.samples.clear();
            snapshot.sources = sources(now)
                .into_iter()
                .map(|s| SourceView { state: "opening", watermark: None, end: None, ..s })
                .collect();
            return (snapshot, status);
        }
        // A Kafka that was found a minute ago, and nobody writes to it.
        "waiting" => {
            status.samples.clear();
            (snapshot.lag, snapshot.dlq) = (Arc::default(), Arc::default());
            snapshot.sources = sources(now)
                .into_iter()
                .map(|s| SourceView { state: "at_end", end: Some(s.next), frontier: None, waiting: true, ..s })
                .collect();
            return (snapshot, status);
        }
        "one" => snapshot.flows = vec![Arc::new(flow(&CHECKOUT))],
        "many" => snapshot.flows = many(now),
        _ => snapshot.flows = [CHECKOUT, REFUND, PAYOUT].iter().map(|s| Arc::new(flow(s))).collect(),
    }
    snapshot.sources = sources(now);
    snapshot.streams = streams(now, name != "calm");
    match name {
        "incident" => snapshot.flows.push(Arc::new(events_only(now))),
        "unreachable" => unreachable(&mut snapshot, &mut status, now, began),
        "hostile" => hostile(&mut snapshot, &mut status),
        "calm" => status.samples.clear(),
        "many" => snapshot.sources = hundreds(snapshot.sources, now),
        _ => {}
    }
    (snapshot, status)
}

fn status(now: Timestamp) -> Status {
    let up = |id: &str, streams: &[&str]| ClusterHealth {
        up: Some(true),
        since: Some(now.plus(-7_384_000_000)),
        last_seen: Some(now.plus(-400_000)),
        cluster_id: Some(id.to_owned()),
        streams: streams.iter().map(|s| (*s).to_owned()).collect(),
        ..ClusterHealth::default()
    };
    Status {
        version: "0.1.0",
        boot: "7f3a".to_owned(),
        started_at: now.plus(-7_390_000_000),
        demo: true,
        restored: true,
        checkpoint_at: Some(now.plus(-800_000)),
        clusters: vec![
            ("main".to_owned(), "kafka", up("4L6g3nShT-eMCtK--X86sw", &["orders", "payments", "refunds"])),
            ("local".to_owned(), "embedded", up("emb-01", &["transactions"])),
        ],
        samples: vec![DecodeSample {
            cluster: "main".to_owned(),
            stream: "payments".to_owned(),
            partition: 2,
            position: 41_002_455,
            reason: DecodeReason::WrongType,
            detail: "event_time: a time was expected, found true".to_owned(),
            preview: r#"{"id":"01JD8Q","transaction_id":"tx-42","flow":"checkout","event_time":true}"#.to_owned(),
            at: now.plus(-48_000_000),
        }],
        jaeger_url: "http://127.0.0.1:16686".to_owned(),
        data_dir: "streamgauge-data".into(),
        ..Status::default()
    }
}

fn engine() -> EngineView {
    EngineView {
        transactions: 51_204,
        tombstones: 1_204_112,
        dedup_events: 861_400,
        page_bytes: 18_743_296,
        overflow: BTreeMap::from([("transactions", 0), ("tombstones", 0), ("dedup_events", 0)]),
        ..EngineView::default()
    }
}

fn key(stream: &str, partition: u32) -> SourceKey {
    SourceKey { cluster: "main".into(), stream: stream.into(), generation: 0, partition }
}

fn sources(now: Timestamp) -> Vec<SourceView> {
    let one = |stream, partition: u32, unread: u64| {
        let next = 41_000_000 + u64::from(partition) * 7_919 + now.0.unsigned_abs() / 10_000 % 1_000_000;
        SourceView {
            key: key(stream, partition),
            state: if unread > 0 { "reading" } else { "at_end" },
            reason: String::new(),
            since: now.plus(-60_000_000),
            next,
            end: Some(next + unread),
            log_start: Some(1_000),
            confirmed_at: Some(now.plus(-200_000)),
            expired: 0,
            undecodable: u64::from(stream == "payments" && partition == 2) * 3,
            watermark: Some(now.plus(-1_800_000 - i64::try_from(unread).unwrap_or(0) * 2_000)),
            frontier: Some(now.plus(-300_000)),
            last: None,
            waiting: false,
        }
    };
    let mut all: Vec<SourceView> = (0..6).map(|p| one("orders", p, if p == 3 { 214 } else { 0 })).collect();
    all.extend((0..4).map(|p| one("payments", p, 0)));
    all.extend((0..2).map(|p| one("refunds", p, 0)));
    all
}

/// More partitions than a page of a table holds, in every state.
fn hundreds(few: Vec<SourceView>, now: Timestamp) -> Vec<SourceView> {
    let states = [("unreachable", "Local: Broker transport failure"), ("gone", ""), ("opening", "")];
    let one = |n: u32| {
        let mut source = few[n as usize % few.len()].clone();
        source.key = key(&format!("shop.region-{}.orders", n / 24), n % 24);
        if let Some((state, reason)) = states.get(n as usize % 97) {
            (source.state, source.reason) = (state, (*reason).to_owned());
            source.since = now.plus(-48_000_000);
        }
        source
    };
    (0..620).map(one).collect()
}

fn streams(now: Timestamp, errors: bool) -> Vec<StreamView> {
    [("orders", 830.0, 41_992_104), ("payments", 1_204.0, 88_204_117), ("refunds", 54.0, 1_204_880)]
        .into_iter()
        .map(|(name, rate, events)| StreamView {
            cluster: "main".to_owned(),
            stream: name.to_owned(),
            role: "events",
            events,
            decode_errors: if errors && name == "payments" {
                BTreeMap::from([("wrong_type", 3), ("invalid_json", 0)])
            } else {
                BTreeMap::new()
            },
            tombstones: 0,
            opaque: 0,
            per_second: [Some(rate); 5],
            spans: WINDOWS.map(|(_, length)| SpanView {
                from: Some(now.plus(-length.min(953) * 1_000_000)),
                to: Some(now),
                complete: length <= 953,
            }),
            clock_offset_seconds: Some(0.004),
            watermark: Some(now.plus(-1_800_000)),
        })
        .collect()
}

fn events_only(now: Timestamp) -> FlowView {
    let shape = Shape { name: "audit", stages: &["audit.line"], tps: 3.0, median: 0.1, incident: false };
    let full = flow(&shape, now, None);
    let windows = full
        .windows
        .into_iter()
        .map(|w| WindowView {
            tps: None,
            started_per_second: None,
            outcomes: Outcomes::default(),
            latency_seconds: BTreeMap::new(),
            ..w
        })
        .collect();
    FlowView {
        transactional: false,
        windows,
        totals: Totals { events: 21_400, ..Totals::default() },
        hops: Vec::new(),
        oldest: None,
        history: History::default(),
        ..full
    }
}

fn many(now: Timestamp) -> Vec<Arc<FlowView>> {
    const NAMES: [&str; 20] = [
        "billing",
        "campaign",
        "checkout",
        "claims",
        "coupon",
        "delivery",
        "fraud-check",
        "gift-card",
        "identity",
        "inventory",
        "invoice",
        "loyalty",
        "notification",
        "onboarding",
        "payout",
        "pricing",
        "refund",
        "returns",
        "subscription-renewal",
        "supplier-settlement",
    ];
    NAMES
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let shape = Shape {
                name,
                stages: CHECKOUT.stages,
                tps: 300.0 / (i + 1) as f64,
                median: 0.1 * (i % 5 + 1) as f64,
                incident: i == 6,
            };
            let mut f = flow(&shape, now, shape.incident.then_some(now.second() - 200));
            if i == 11 {
                f.inexact = Some(Inexact {
                    at: now.plus(-1_140_000_000),
                    reason: "at most 1,204 records of loyalty/0 expired unread".to_owned(),
                });
            }
            Arc::new(f)
        })
        .collect()
}

fn unreachable(snapshot: &mut Snapshot, status: &mut Status, now: Timestamp, began: Timestamp) {
    let since = began.plus(-130_000_000);
    status.clusters.push((
        "eu".to_owned(),
        "kafka",
        ClusterHealth {
            up: Some(false),
            since: Some(since),
            last_seen: Some(since),
            detail: "broker transport failure: 10.4.0.17:9092 connection refused".to_owned(),
            ..ClusterHealth::default()
        },
    ));
    status.checkpoint_error = "streamgauge-data/state.redb: no space left on device".to_owned();
    status.checkpoint_at = Some(since);
    for s in &mut snapshot.sources {
        if &*s.key.stream == "refunds" {
            s.key.cluster = "eu".into();
            s.state = "unreachable";
            s.reason = "connection refused".to_owned();
            s.since = since;
            s.watermark = Some(since);
            s.end = None;
        }
        if &*s.key.stream == "orders" && s.key.partition == 2 {
            s.state = "unreachable";
            s.reason = "no leader".to_owned();
            s.since = since;
            s.expired = 12;
        }
    }
    for s in snapshot.streams.iter_mut().filter(|s| s.stream == "refunds") {
        (s.cluster, s.watermark) = ("eu".to_owned(), Some(since));
    }
    snapshot.flows = snapshot
        .flows
        .iter()
        .map(|f| {
            let mut f = (**f).clone();
            if f.name == "refund" {
                f.watermark = Some(since);
                f.streams = [("eu".into(), "refunds".into())].into();
                let keep = |s: &Series| Series {
                    step: s.step,
                    chunks: vec![Arc::new(s.range(0, since.second()).cloned().collect())],
                };
                f.history = History { s1: keep(&f.history.s1), s10: keep(&f.history.s10), m1: keep(&f.history.m1) };
            } else if f.name == "checkout" {
                f.left_out = vec![key("orders", 2)];
                let mark = |s: &Series| Series {
                    step: s.step,
                    chunks: vec![Arc::new(
                        s.range(0, now.second())
                            .map(|p| Point { partial: p.t > since.second(), ..p.clone() })
                            .filter(|p| !(since.second() - 250..since.second() - 190).contains(&p.t))
                            .collect(),
                    )],
                };
                f.history = History { s1: mark(&f.history.s1), s10: mark(&f.history.s10), m1: f.history.m1 };
                for w in &mut f.windows {
                    w.partial = true;
                }
            }
            Arc::new(f)
        })
        .collect();
}

fn hostile(snapshot: &mut Snapshot, status: &mut Status) {
    const EVIL: &str = r#"<script>alert("x")</script>{t.ok}' onload=x &amp; \u202e"#;
    snapshot.engine.books_error = Some(EVIL.to_owned());
    status.checkpoint_error = EVIL.to_owned();
    let mut f = (*snapshot.flows[0]).clone();
    f.name = EVIL.to_owned();
    f.never_ends = true;
    f.inexact = Some(Inexact { at: snapshot.as_of, reason: EVIL.to_owned() });
    for s in &mut f.stages {
        s.name = format!("{EVIL}{}", s.name);
    }
    for w in &mut f.stuck {
        w.transaction_id = EVIL.to_owned();
        w.waiting_at = EVIL.to_owned();
        w.trace_id = EVIL.to_owned();
    }
    snapshot.flows[0] = Arc::new(f);
    for s in &mut snapshot.sources {
        s.key.stream = EVIL.into();
        s.reason = EVIL.to_owned();
        s.state = "unreachable";
    }
    for s in &mut status.samples {
        s.detail = EVIL.to_owned();
        s.preview = EVIL.to_owned();
    }
}
