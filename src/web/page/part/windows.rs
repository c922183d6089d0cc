//! Rolling windows of one flow: rates and outcomes, and percentiles by outcome.

use askama::Template;

use crate::model::Outcome;
use crate::snapshot::{FlowView, LatencyView, WindowView};
use crate::text::i18n::{Texts, fill};
use crate::text::number;
use crate::web::page::Part;
use crate::web::page::kit::{Html, Kit};

use super::chain::one;
use super::render;

struct Row {
    name: &'static str,
    note: String,
    tps: String,
    started: String,
    events: String,
    outcomes: [String; 5],
    not_ok: String,
    recovered: String,
}

#[derive(Template)]
#[template(path = "part/windows.html")]
struct Windows {
    t: &'static Texts,
    rows: Vec<Row>,
    outcomes: [&'static str; 5],
    transactional: bool,
}

/// Rates and outcomes in each window.
pub fn windows(kit: &Kit, flow: &FlowView) -> Part {
    let t = kit.t;
    let row = |w: &WindowView| {
        let known = w.to.is_some() && flow.transactional;
        let of = |n: u64| if known { number::count(n) } else { number::UNKNOWN.to_owned() };
        let sum = w.outcomes.sum();
        Row {
            name: t.window(w.name),
            note: note(kit, w),
            tps: kit.rate(w.tps),
            started: kit.rate(w.started_per_second),
            events: kit.rate(w.events_per_second),
            outcomes: w.outcomes.as_array().map(of),
            not_ok: if known && sum > 0 {
                number::percent((sum - w.outcomes.ok) as f64 / sum as f64).text()
            } else {
                number::UNKNOWN.to_owned()
            },
            recovered: of(w.recovered),
        }
    };
    let outcomes = std::array::from_fn(|i| t.outcome(i));
    render(
        "windows",
        &Windows { t, rows: flow.windows.iter().map(row).collect(), outcomes, transactional: flow.transactional },
    )
}

/// What a reader must know of a window before its numbers.
fn note(kit: &Kit, w: &WindowView) -> String {
    let t = kit.t;
    let young = match (w.from, w.to) {
        (Some(from), Some(to)) if !w.complete => fill(t.only_so_far, &[("age", &kit.age(to.since(from) as f64 / 1e6))]),
        _ => String::new(),
    };
    let partial = if w.partial { t.partial } else { "" };
    [young.as_str(), partial].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" \u{b7} ")
}

struct LatencyRow {
    outcome: &'static str,
    class: &'static str,
    window: &'static str,
    span: usize,
    count: String,
    negative: String,
    numbers: [String; 4],
    clock: &'static str,
}

struct Real {
    outcome: &'static str,
    class: &'static str,
    at: &'static str,
    seconds: String,
    transaction: Html,
    trace: Html,
}

#[derive(Template)]
#[template(path = "part/latency.html")]
struct Latency {
    t: &'static Texts,
    rows: Vec<LatencyRow>,
    clock: &'static str,
    empty: &'static str,
}

/// Percentiles by outcome in each window.
pub fn latency(kit: &Kit, flow: &FlowView) -> Part {
    let t = kit.t;
    let mut rows: Vec<LatencyRow> = Vec::new();
    for w in &flow.windows {
        let first = rows.len();
        for (i, outcome) in Outcome::ALL.iter().enumerate() {
            let Some(l) = w.latency_seconds.get(outcome.name()).filter(|l| l.count > 0) else { continue };
            rows.push(latency_row(kit, w, i, outcome.name(), l));
        }
        let span = rows.len() - first;
        if let Some(row) = rows.get_mut(first) {
            row.span = span;
        }
    }
    let empty = if flow.watermark.is_none() { t.nothing_read_yet } else { t.no_latency };
    let clock = one(rows.iter().map(|r| r.clock));
    if clock.is_some() {
        rows.iter_mut().for_each(|r| r.clock = "");
    }
    render("latency", &Latency { t, rows, clock: clock.unwrap_or(""), empty })
}

fn latency_row(kit: &Kit, w: &WindowView, index: usize, class: &'static str, l: &LatencyView) -> LatencyRow {
    LatencyRow {
        outcome: kit.t.outcome(index),
        class,
        window: kit.t.window(w.name),
        span: 0,
        count: number::count(l.count),
        negative: if l.negative > 0 {
            fill(kit.t.n_negative, &[("n", &number::count(l.negative))])
        } else {
            String::new()
        },
        numbers: [l.p50, l.p95, l.p99, l.max].map(|v| kit.duration(v)),
        clock: kit.t.clock(l.clock),
    }
}

#[derive(Template)]
#[template(path = "part/real.html")]
struct RealOnes {
    t: &'static Texts,
    rows: Vec<Real>,
    window: &'static str,
}

/// Rows of real transactions at most.
const MAX_REAL: usize = 6;

/// Real transactions behind the percentiles, of the shortest window that knows any.
pub fn real(kit: &Kit, flow: &FlowView) -> Part {
    let found = flow.windows.iter().find(|w| w.latency_seconds.values().any(|l| !l.exemplars.is_empty()));
    let mut rows = Vec::new();
    for (i, outcome) in Outcome::ALL.iter().enumerate() {
        for e in found.iter().filter_map(|w| w.latency_seconds.get(outcome.name())).flat_map(|l| &l.exemplars) {
            let short: String = e.trace_id.chars().take(8).collect();
            rows.push(Real {
                outcome: kit.t.outcome(i),
                class: outcome.name(),
                at: e.at,
                seconds: kit.duration(Some(e.seconds)),
                transaction: kit.transaction(&flow.name, &e.transaction_id),
                trace: kit
                    .trace(&e.trace_id, kit.t.open_trace)
                    .unwrap_or_else(|| Html(format!("<small class=\"mono\">{}</small>", Html::text(&short)))),
            });
        }
    }
    rows.truncate(MAX_REAL);
    render("real", &RealOnes { t: kit.t, rows, window: found.map_or("", |w| kit.t.window(w.name)) })
}
