//! What needs attention, worst first; where nothing does, what was looked at.

use askama::Template;

use crate::snapshot::FlowView;
use crate::text::i18n::{Texts, fill};
use crate::text::number::{self, UNKNOWN};
use crate::web::page::Part;
use crate::web::page::health::{self, Item, failed_share};
use crate::web::page::kit::{Kit, Level, State};

use super::render;

/// Items at most: an operator reads no further; the rest is counted.
const MAX_ITEMS: usize = 6;

/// One thing that was looked at and found well.
struct Check {
    level: Level,
    name: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "part/attention.html")]
struct Attention {
    t: &'static Texts,
    items: Vec<Item>,
    more: String,
    calm: State,
    checks: Vec<Check>,
    tags: bool,
}

/// Of one flow, or of everything.
pub fn attention(kit: &Kit, only: Option<&FlowView>) -> Part {
    let t = kit.t;
    let mut items = health::attention(kit, only);
    let hidden = items.len().saturating_sub(MAX_ITEMS);
    items.truncate(MAX_ITEMS);
    let more = if hidden > 0 { fill(t.n_more, &[("n", &hidden.to_string())]) } else { String::new() };
    let flows: Vec<&FlowView> = match only {
        Some(flow) => vec![flow],
        None => kit.cx.snapshot.flows.iter().map(|f| &**f).collect(),
    };
    let read = flows.iter().any(|f| f.watermark.is_some());
    let (calm, checks) = if read {
        (State { level: Level::Ok, word: t.nothing_needs.to_owned() }, checks(kit, &flows, only.is_none()))
    } else {
        (State { level: Level::Unknown, word: health::not_read_yet(kit) }, Vec::new())
    };
    render("attention", &Attention { t, items, more, calm, checks, tags: only.is_none() })
}

/// What was looked at, with its value. Shown only while none of it is amiss; what is not known stays unknown.
fn checks(kit: &Kit, flows: &[&FlowView], all: bool) -> Vec<Check> {
    let t = kit.t;
    let known = |name, value: Option<String>| Check {
        level: if value.is_some() { Level::Ok } else { Level::Unknown },
        name,
        value: value.unwrap_or_else(|| UNKNOWN.to_owned()),
    };
    let stuck: u64 = flows.iter().map(|f| f.stuck_total).sum();
    let share = failed_share(flows.iter().copied()).value().map(|s| number::percent(s).text());
    let oldest = flows
        .iter()
        .filter_map(|f| f.watermark)
        .min()
        .map(|w| number::duration(kit.seconds_since(w), kit.locale).text());
    let mut list = vec![
        known(t.check_stuck, Some(number::count(stuck))),
        known(t.check_share, share),
        known(t.check_age, oldest),
        known(t.check_exact, Some(t.check_exact_yes.to_owned())),
        known(t.check_books, Some(t.balanced.to_owned())),
    ];
    if all {
        let sources = &kit.cx.snapshot.sources;
        let readable = sources.iter().filter(|s| matches!(s.state, "reading" | "at_end")).count();
        list.push(known(t.check_sources, Some(format!("{readable} / {}", sources.len()))));
        let saved = kit.cx.status.checkpoint_at.map(|at| fill(t.ago, &[("age", &kit.ago(at))]));
        list.push(known(t.check_saved, saved));
    }
    list
}
