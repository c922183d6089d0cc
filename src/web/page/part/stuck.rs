//! Transactions that wait: the stuck ones of a flow, and the oldest of each flow.

use askama::Template;

use crate::snapshot::{FlowView, WaitingView};
use crate::text::i18n::{Texts, fill};
use crate::text::number;
use crate::web::page::kit::{Html, Kit};
use crate::web::page::{Part, View};

use super::render;

/// Rows at most; the count is exact.
const MAX_STUCK: usize = 10;

struct Row {
    key: String,
    transaction: Html,
    at: String,
    waiting: String,
    age: String,
    started: Html,
    trace: Html,
}

#[derive(Template)]
#[template(path = "part/stuck.html")]
struct Stuck {
    t: &'static Texts,
    total: String,
    any: bool,
    traces: bool,
    rows: Vec<Row>,
    more: String,
    oldest: String,
}

/// Of one flow.
pub fn stuck(kit: &Kit, flow: &FlowView) -> Part {
    let t = kit.t;
    let row = |w: &WaitingView| Row {
        key: w.transaction_id.clone(),
        transaction: kit.transaction(&flow.name, &w.transaction_id),
        at: w.waiting_at.clone(),
        waiting: kit.duration(Some(w.waiting_seconds)),
        age: kit.duration(Some(w.age_seconds)),
        started: kit.time(w.started_at),
        trace: kit.trace(&w.trace_id, t.open_trace).unwrap_or_default(),
    };
    let rows: Vec<Row> = flow.stuck.iter().take(MAX_STUCK).map(row).collect();
    let hidden = flow.stuck_total.saturating_sub(rows.len() as u64);
    let more = if hidden > 0 { fill(t.n_more, &[("n", &number::count(hidden))]) } else { String::new() };
    let oldest = match (&flow.oldest, flow.watermark) {
        (Some(o), _) => fill(
            t.oldest_is,
            &[("id", &o.transaction_id), ("age", &kit.duration(Some(o.age_seconds))), ("stage", &o.waiting_at)],
        ),
        (None, Some(_)) => t.none_in_flight.to_owned(),
        (None, None) => t.nothing_read_yet.to_owned(),
    };
    let (total, any) = (number::count(flow.stuck_total), flow.stuck_total > 0);
    let traces = rows.iter().any(|r| !r.trace.0.is_empty());
    render("stuck", &Stuck { t, total, any, traces, rows, more, oldest })
}

struct Old {
    key: String,
    age: String,
    stuck: bool,
    id: Html,
    place: Html,
    trace: Html,
}

#[derive(Template)]
#[template(path = "part/oldest.html")]
struct Oldest {
    t: &'static Texts,
    rows: Vec<Old>,
    empty: &'static str,
}

/// Rows of the list of the oldest at most.
const MAX_OLDEST: usize = 5;

/// The transaction longest in flight of each flow, oldest first.
pub fn oldest(kit: &Kit, flows: &[&FlowView]) -> Part {
    let t = kit.t;
    let mut found: Vec<(&FlowView, &WaitingView)> =
        flows.iter().filter_map(|f| f.oldest.as_ref().map(|o| (*f, o))).collect();
    found.sort_by(|a, b| b.1.age_seconds.total_cmp(&a.1.age_seconds).then_with(|| a.0.name.cmp(&b.0.name)));
    let rows = found.into_iter().take(MAX_OLDEST).map(|(f, o)| Old {
        key: f.name.clone(),
        age: kit.duration(Some(o.age_seconds)),
        stuck: f.stuck.iter().any(|s| s.transaction_id == o.transaction_id),
        id: kit.transaction(&f.name, &o.transaction_id),
        place: Html::dots([
            Html::link(&kit.url(&View::Flow(f.name.clone())), &Html::text(&f.name)),
            Html::text(&o.waiting_at),
        ]),
        trace: kit.trace(&o.trace_id, t.open_trace).unwrap_or_default(),
    });
    let empty = if flows.iter().any(|f| f.watermark.is_some()) { t.nothing_in_flight } else { t.nothing_read_yet };
    render("oldest", &Oldest { t, rows: rows.collect(), empty })
}
