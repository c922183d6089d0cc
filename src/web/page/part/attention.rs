//! What needs attention, worst first; where nothing does, what was looked at.

use askama::Template;

use crate::snapshot::{FlowView, SourceView};
use crate::text::i18n::{Texts, fill};
use crate::text::number::{self, UNKNOWN};
use crate::web::page::Part;
use crate::web::page::health::{self, Item, failed_share};
use crate::web::page::kit::{Kit, Level, State};

use super::render;

/// Items at most: an operator reads no further; the rest is counted.
const MAX_ITEMS: usize = 6;

/// With more items than this, what is well is not said: they are what counts.
const MAX_CHECKED: usize = 2;

/// One thing that was looked at.
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
        let mut checks = if items.len() > MAX_CHECKED { Vec::new() } else { checks(kit, &flows, only.is_none()) };
        // What is amiss stands among the items.
        checks.retain(|c| items.is_empty() || c.level <= Level::Unknown);
        (State { level: Level::Ok, word: t.nothing_needs.to_owned() }, checks)
    } else {
        (State { level: Level::Unknown, word: health::not_read_yet(kit) }, Vec::new())
    };
    render("attention", &Attention { t, items, more, calm, checks, tags: only.is_none() })
}

/// What was looked at, with its value and its verdict; what is not known stays unknown.
fn checks(kit: &Kit, flows: &[&FlowView], all: bool) -> Vec<Check> {
    let t = kit.t;
    let check = |name, level, value: Option<String>| match value {
        Some(value) => Check { level, name, value },
        None => Check { level: Level::Unknown, name, value: UNKNOWN.to_owned() },
    };
    let stuck: u64 = flows.iter().map(|f| f.stuck_total).sum();
    let share = failed_share(flows.iter().copied());
    let age = flows.iter().filter_map(|f| f.watermark).min().map(|w| kit.seconds_since(w));
    let inexact = flows.iter().any(|f| f.inexact.is_some());
    let unbalanced = kit.cx.snapshot.engine.books_error.is_some();
    let bad_if = |bad| if bad { Level::Bad } else { Level::Ok };
    let age_level = match age {
        Some(a) if a >= health::BEHIND_BAD_SECONDS => Level::Bad,
        Some(a) if a >= health::BEHIND_WARN_SECONDS => Level::Warn,
        _ => Level::Ok,
    };
    // Of flows that stand still nothing can be said but what was.
    let live = |level| if flows.iter().any(|f| health::is_live(kit, f)) { level } else { Level::Unknown };
    let mut list = vec![
        check(t.check_stuck, live(bad_if(stuck > 0)), Some(number::count(stuck))),
        check(t.check_share, live(share.level()), share.value().map(|s| number::percent(s).text())),
        check(t.check_age, age_level, age.map(|a| number::duration(a, kit.locale).text())),
        check(
            t.check_exact,
            if inexact { Level::Warn } else { Level::Ok },
            Some(if inexact { t.inexact } else { t.check_exact_yes }.to_owned()),
        ),
        check(t.check_books, bad_if(unbalanced), Some(if unbalanced { t.not_balanced } else { t.balanced }.to_owned())),
    ];
    if all {
        let (sources, status) = (&kit.cx.snapshot.sources, kit.cx.status);
        let read = |s: &&SourceView| matches!(s.state, "reading" | "at_end") && !health::is_cut_off(kit, s);
        let readable = sources.iter().filter(read).count();
        let broken = sources.iter().any(|s| health::is_cut_off(kit, s));
        list.push(check(t.check_sources, bad_if(broken), Some(format!("{readable} / {}", sources.len()))));
        let saved = status.checkpoint_at.map(|at| fill(t.ago, &[("age", &kit.ago(at))]));
        list.push(check(t.check_saved, bad_if(!status.checkpoint_error.is_empty()), saved));
    }
    list
}
