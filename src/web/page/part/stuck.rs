//! Transactions that wait longer than their stage's deadline, oldest first.

use askama::Template;

use crate::snapshot::{FlowView, WaitingView};
use crate::text::i18n::{Texts, fill};
use crate::text::number;
use crate::web::page::Part;
use crate::web::page::kit::{Html, Kit};

use super::render;

/// Rows at most; the count is exact.
const MAX_STUCK: usize = 20;

struct Row {
    transaction: String,
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
    rows: Vec<Row>,
    more: String,
    oldest: String,
}

/// Of one flow.
pub fn stuck(kit: &Kit, flow: &FlowView) -> Part {
    let t = kit.t;
    let row = |w: &WaitingView| Row {
        transaction: w.transaction_id.clone(),
        at: w.waiting_at.clone(),
        waiting: kit.age(w.waiting_seconds),
        age: kit.age(w.age_seconds),
        started: kit.time(w.started_at),
        trace: kit.trace(&w.trace_id, t.open_trace).unwrap_or_default(),
    };
    let rows: Vec<Row> = flow.stuck.iter().take(MAX_STUCK).map(row).collect();
    let hidden = flow.stuck_total.saturating_sub(rows.len() as u64);
    let more = if hidden > 0 { fill(t.n_more, &[("n", &number::count(hidden))]) } else { String::new() };
    let oldest = match (&flow.oldest, flow.watermark) {
        (Some(o), _) => {
            fill(t.oldest_is, &[("id", &o.transaction_id), ("age", &kit.age(o.age_seconds)), ("stage", &o.waiting_at)])
        }
        (None, Some(_)) => t.none_in_flight.to_owned(),
        (None, None) => t.nothing_read_yet.to_owned(),
    };
    render("stuck", &Stuck { t, total: number::count(flow.stuck_total), any: flow.stuck_total > 0, rows, more, oldest })
}
