//! Real transactions on the cells of the heatmap that count them: a click leads to one.
//!
//! They are those behind the percentiles: the engine keeps one per bucket, and the read model carries the ones that
//! somebody looks at. A browser puts them on the chart; without a script they stand below it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use askama::Template;

use crate::model::{MICROS_PER_SECOND, Outcome};
use crate::snapshot::{ExemplarView, FlowView};
use crate::text::i18n::Texts;
use crate::web::page::Part;
use crate::web::page::chart::step_of;
use crate::web::page::kit::{Html, Kit};

use super::render;

/// Marks at most: more hide the cells.
const MAX_FINDS: usize = 12;

/// So many marks lie side by side without touching.
const MARKS_ABREAST: i64 = 60;

struct Find {
    /// Time and latency, where the browser puts it.
    t: String,
    v: f64,
    href: String,
    class: &'static str,
    outcome: &'static str,
    seconds: String,
    id: String,
    at: Html,
}

#[derive(Template)]
#[template(path = "part/finds.html")]
struct Finds {
    t: &'static Texts,
    finds: Vec<Find>,
}

/// Of the flow whose latency is shown, within the range that is shown, the newest first.
pub fn finds(kit: &Kit, lead: Option<&FlowView>) -> Part {
    let mut seen = BTreeSet::new();
    let mut found: Vec<(usize, &ExemplarView)> = Vec::new();
    for window in lead.iter().flat_map(|f| &f.windows) {
        for (i, outcome) in Outcome::ALL.iter().enumerate() {
            for e in window.latency_seconds.get(outcome.name()).into_iter().flat_map(|l| &l.exemplars) {
                let shown = kit.seconds_since(e.ended_at) < kit.cx.range_seconds as f64;
                if shown && seen.insert(&e.transaction_id) {
                    found.push((i, e));
                }
            }
        }
    }
    // One per cell, that of the worst end; cells as wide as a mark.
    let step = step_of(kit.cx.range_seconds).max(kit.cx.range_seconds / MARKS_ABREAST);
    let cell = |e: &ExemplarView| (e.ended_at.second().div_euclid(step), e.seconds.max(1e-3).log2().floor() as i32);
    found.sort_by_key(|(outcome, e)| (cell(e), Reverse(*outcome), Reverse(e.ended_at)));
    found.dedup_by_key(|(_, e)| cell(e));
    found.sort_by(|a, b| b.1.ended_at.cmp(&a.1.ended_at).then_with(|| a.1.transaction_id.cmp(&b.1.transaction_id)));
    found.truncate(MAX_FINDS);
    let own = |e: &ExemplarView| lead.map_or_else(String::new, |f| kit.transaction_url(&f.name, &e.transaction_id));
    let find = |(i, e): (usize, &ExemplarView)| Find {
        t: format!("{:.1}", e.ended_at.0 as f64 / MICROS_PER_SECOND as f64),
        v: e.seconds,
        href: kit.trace_url(&e.trace_id).unwrap_or_else(|| own(e)),
        class: Outcome::ALL[i].name(),
        outcome: kit.t.outcome(i),
        seconds: kit.duration(Some(e.seconds)),
        id: e.transaction_id.clone(),
        at: kit.time(e.ended_at),
    };
    render("finds", &Finds { t: kit.t, finds: found.into_iter().map(find).collect() })
}
