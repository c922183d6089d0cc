//! Made-up traffic of one flow: rates, latencies, an incident that grows for 45 s.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::sg::model::Timestamp;
use super::super::sg::snapshot::{
    ExemplarView, FlowView, History, HopView, LatencyView, Outcomes, Point, Series, StageView, Totals, WINDOWS,
    WaitingView, WindowView,
};

/// Shape of a flow's made-up traffic.
pub struct Shape {
    pub name: &'static str,
    pub stages: &'static [&'static str],
    pub tps: f64,
    pub median: f64,
    pub incident: bool,
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
        ended_at: Timestamp::default(),
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

/// The streams in which the events of a flow were seen.
fn feeds(flow: &str) -> Arc<[(Arc<str>, Arc<str>)]> {
    let streams: &[&str] = match flow {
        "refund" => &["refunds"],
        "payout" => &["payments"],
        _ => &["orders", "payments"],
    };
    streams.iter().map(|s| ("main".into(), (*s).into())).collect()
}

/// A flow with its history, deterministic in its arguments; `start` is when its incident began.
pub fn flow(shape: &Shape, now: Timestamp, start: Option<i64>) -> FlowView {
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
        streams: feeds(shape.name),
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
