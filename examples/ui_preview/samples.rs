//! Made-up snapshots: every state that a page must be able to say. Deterministic in `now` and `began`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sg::broker::{ClusterHealth, DecodeSample};
use super::sg::model::{DecodeReason, SourceKey, Timestamp};
use super::sg::snapshot::{
    EngineView, ExemplarView, FlowView, History, HopView, Inexact, LatencyView, Outcomes, Point, Series, Snapshot,
    SourceView, StageView, StreamView, Totals, WINDOWS, WaitingView, WindowView,
};
use super::sg::web::Status;

/// All scenarios by name.
pub const SCENARIOS: [&str; 9] =
    ["calm", "incident", "one", "many", "unreachable", "empty", "opening", "first", "hostile"];

/// Shape of a flow's made-up traffic.
struct Shape {
    name: &'static str,
    stages: &'static [&'static str],
    tps: f64,
    median: f64,
    incident: bool,
}

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
        }
    };
    let mut all: Vec<SourceView> = (0..6).map(|p| one("orders", p, if p == 3 { 214 } else { 0 })).collect();
    all.extend((0..4).map(|p| one("payments", p, 0)));
    all.extend((0..2).map(|p| one("refunds", p, 0)));
    all
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
            clock_offset_seconds: Some(0.004),
            watermark: Some(now.plus(-1_800_000)),
        })
        .collect()
}

/// A number in 0..1 that looks random and depends on its arguments only.
fn noise(seed: &str, t: i64, salt: i64) -> f64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for b in seed.bytes().chain(t.to_le_bytes()).chain(salt.to_le_bytes()) {
        h = (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    }
    h ^= h >> 29;
    (h.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1u64 << 53) as f64
}

/// How far an incident has come at `t`, 0..=1.
fn depth(start: Option<i64>, t: i64) -> f64 {
    start.map_or(0.0, |s| ((t - s) as f64 / 45.0).clamp(0.0, 1.0))
}

fn point(shape: &Shape, start: Option<i64>, t: i64, step: i64, watermark: i64) -> Point {
    let d = depth(start, t);
    let wave = 1.0 + 0.06 * (t as f64 / 97.0).sin() + 0.05 * (t as f64 / 1_700.0).sin();
    let jitter = 1.0 + (noise(shape.name, t, 1) - 0.5) * 0.16 / (step as f64).sqrt();
    let ended = shape.tps * wave * jitter * (1.0 - 0.32 * d) * step as f64;
    let share = 0.004 + 0.07 * d * (0.8 + 0.4 * noise(shape.name, t, 2));
    let failed = (ended * share + noise(shape.name, t, 3)).floor();
    let timed_out = if d > 0.8 { (ended * 0.012).floor() } else { 0.0 };
    let ok = (ended - failed - timed_out).max(0.0);
    let median = shape.median * (1.0 + 6.0 * d) * (1.0 + (noise(shape.name, t, 4) - 0.5) * 0.12);
    let p99 = shape.median * (4.6 + 32.0 * d) * (1.0 + (noise(shape.name, t, 5) - 0.5) * 0.2);
    let mut heat = Vec::new();
    for row in 0..22u8 {
        let middle = 2f64.powi(i32::from(row) - 10) * 1.41;
        let fast = (-((middle / (shape.median * 1.1)).log2() / 1.05).powi(2)).exp() * (1.0 - 0.75 * d);
        let slow = (-((middle / (shape.median * 7.0)).log2() / 1.3).powi(2)).exp() * (0.02 + 0.8 * d);
        let tail = if noise(shape.name, t, 40 + i64::from(row)) < 0.004 && middle < p99 * 3.0 && middle > shape.median {
            0.004
        } else {
            0.0
        };
        let n = (ok * (fast + slow + tail) / 1.9 + noise(shape.name, t, 20 + i64::from(row)) * 0.9).floor() as u32;
        if n > 0 {
            heat.push((row, n));
        }
    }
    Point {
        t,
        complete: t + step <= watermark,
        partial: false,
        ended: [ok as u32, failed as u32, 0, 0, timed_out as u32],
        started: (shape.tps * wave * step as f64) as u32,
        events: (ended * shape.stages.len() as f64) as u32,
        p50: Some(median as f32),
        p95: Some((p99 * 0.5) as f32),
        p99: Some(p99 as f32),
        max: Some((p99 * 1.6) as f32),
        heat,
    }
}

fn series(shape: &Shape, start: Option<i64>, now: i64, step: i64, length: i64) -> Series {
    let watermark = now - 2;
    let from = (now - length).div_euclid(step) * step;
    let points: Vec<Point> = (0..)
        .map(|i| from + i * step)
        .take_while(|t| *t < now)
        .map(|t| point(shape, start, t, step, watermark))
        .collect();
    Series { step, chunks: points.chunks(300).map(|c| Arc::new(c.to_vec())).collect() }
}

fn latency(seconds: f64, count: u64, d: f64, trace: bool) -> LatencyView {
    let p = |f: f64| Some(seconds * f);
    let exemplar = |at, f: f64, id: &str| ExemplarView {
        at,
        trace_id: "7f3ac21e".repeat(4),
        seconds: seconds * f,
        transaction_id: format!("ord_01JD8Q{id}"),
    };
    LatencyView {
        clock: "event",
        count,
        negative: 0,
        p50: p(1.0),
        p95: p(2.2 + 2.0 * d),
        p99: p(4.6 + 3.4 * d),
        max: p(8.0 + 6.0 * d),
        exemplars: if trace {
            vec![
                exemplar("p50", 1.0, "4T7M"),
                exemplar("p95", 2.2 + 2.0 * d, "4VXA"),
                exemplar("p99", 4.6 + 3.4 * d, "4W02"),
                exemplar("max", 8.0 + 6.0 * d, "50PK"),
            ]
        } else {
            Vec::new()
        },
    }
}

fn flow(shape: &Shape, now: Timestamp, start: Option<i64>) -> FlowView {
    let s = now.second();
    let d = depth(start, s);
    let watermark = s - 2;
    let windows = WINDOWS
        .iter()
        .enumerate()
        .map(|(i, (name, seconds))| {
            // How much of the window lies within the incident.
            let part = start.map_or(0.0, |b| ((s - b) as f64 / *seconds as f64).clamp(0.0, 1.0)) * d;
            let rate = shape.tps * (1.0 - 0.3 * part) * (1.0 + (noise(shape.name, s / 2, i as i64) - 0.5) * 0.03);
            let n = (rate * *seconds as f64) as u64;
            let failed = (n as f64 * (0.003 + 0.07 * part)) as u64;
            let timed_out = (n as f64 * 0.011 * part) as u64;
            let ok = latency(shape.median * (1.0 + 4.0 * part), n - failed, part, i == 1);
            let mut latency_seconds = BTreeMap::from([("ok", ok)]);
            if failed > 0 {
                latency_seconds.insert("failed", latency(shape.median * (1.4 + 6.0 * part), failed, part, false));
            }
            WindowView {
                name,
                from: Some(Timestamp::from_seconds(watermark - seconds)),
                to: Some(Timestamp::from_seconds(watermark)),
                complete: true,
                partial: false,
                tps: Some(rate),
                started_per_second: Some(shape.tps),
                events_per_second: Some(rate * shape.stages.len() as f64),
                outcomes: Outcomes { ok: n - failed - timed_out, failed, timed_out, ..Outcomes::default() },
                recovered: 0,
                latency_seconds,
            }
        })
        .collect();
    let stuck = if d > 0.5 { 12 + (s - start.unwrap_or(s)).unsigned_abs() / 5 } else { 0 };
    let stages = shape.stages.iter().enumerate().map(|(i, name)| stage(shape, i, name, d, stuck)).collect();
    let hops = shape.stages.windows(2).enumerate().map(|(i, w)| HopView {
        from: w[0].to_owned(),
        to: w[1].to_owned(),
        windows: WINDOWS
            .iter()
            .map(|(_, n)| {
                latency(
                    shape.median * [0.35, 0.08, 0.3, 0.14][i] * if i == 0 { 1.0 + 8.0 * d } else { 1.0 },
                    (shape.tps * *n as f64) as u64,
                    d,
                    false,
                )
            })
            .collect(),
    });
    let waits = |i: i64| WaitingView {
        transaction_id: format!("ord_01JD8Q{}", ["4T7M", "4VXA", "4W02", "50PK", "52ZD", "55H1"][i as usize % 6]),
        started_at: now.plus(-(d * 48e6) as i64 + i * 900_000),
        age_seconds: 48.2 - i as f64 * 0.9,
        waiting_at: shape.stages[1 % shape.stages.len()].to_owned(),
        waiting_seconds: 47.0 - i as f64 * 0.9,
        trace_id: "7f3ac21e".repeat(4),
    };
    let ended = Outcomes {
        ok: (shape.tps * 7_100.0) as u64,
        failed: (shape.tps * 34.0) as u64,
        timed_out: (shape.tps * 2.0 * d) as u64,
        dead_lettered: 0,
        compensated: 11,
    };
    let in_flight = (shape.tps * (2.2 + 1.6 * d)) as u64 + stuck;
    FlowView {
        name: shape.name.to_owned(),
        watermark: Some(Timestamp::from_seconds(watermark).plus(now.0.rem_euclid(1_000_000) / 3)),
        transactional: true,
        totals: Totals {
            events: ended.sum() * shape.stages.len() as u64,
            started: ended.sum() + in_flight,
            in_flight,
            ended: ended.sum(),
            outcomes: ended,
            duplicates: 214,
            late: 3,
            joined: 12,
            after_end: 2,
            ..Totals::default()
        },
        windows,
        stages,
        hops: hops.collect(),
        oldest: Some(WaitingView {
            transaction_id: "ord_01JD8Q4T7M".to_owned(),
            age_seconds: if stuck > 0 { 48.2 } else { shape.median * 4.0 },
            ..waits(0)
        }),
        stuck: (0..stuck.min(8) as i64).map(waits).collect(),
        stuck_total: stuck,
        history: History {
            s1: series(shape, start, s, 1, 3_600),
            s10: series(shape, start, s, 10, 7_300),
            m1: series(shape, start, s, 60, 86_400),
        },
        ..FlowView::default()
    }
}

fn stage(shape: &Shape, i: usize, name: &str, d: f64, stuck: u64) -> StageView {
    let rate = if i == 0 { shape.tps } else { shape.tps * (1.0 - 0.3 * d) };
    let here = if i == 1 { stuck } else { 0 };
    StageView {
        name: name.to_owned(),
        events: (rate * 7_100.0) as u64,
        by_status: [0; 5],
        waiting: here + (shape.tps * [0.0, 0.4, 0.05, 0.3, 0.0][i]) as u64,
        stuck: here,
        deadline_seconds: (i > 0).then_some(8.0),
        deadline_learned: i != 2,
        per_second: [Some(rate); 5],
        errors_per_second: [Some(if i == 1 { 21.0 * d } else { 0.0 }); 5],
    }
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
    snapshot.flows = snapshot
        .flows
        .iter()
        .map(|f| {
            let mut f = (**f).clone();
            if f.name == "refund" {
                f.watermark = Some(since);
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
