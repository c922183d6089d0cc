//! Parts of the frame around every page: the pulse in the header and the menu of flows.

use askama::Template;

use crate::text::i18n::{Texts, fill};
use crate::text::natural;
use crate::web::page::health::{attention, flow_state};
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::{Part, View};

use super::render;

#[derive(Template)]
#[template(path = "part/pulse.html")]
struct Pulse {
    href: String,
    state: State,
    bad: usize,
    warn: usize,
    say: String,
    data: Html,
}

/// How many things are wrong, and how far the data reaches.
pub fn pulse(kit: &Kit) -> Part {
    let t = kit.t;
    let items = attention(kit, None);
    let count = |level| items.iter().filter(|i| i.level == level).count();
    let (bad, warn, unknown) = (count(Level::Bad), count(Level::Warn), count(Level::Unknown));
    let level = items.first().map_or(Level::Ok, |i| i.level);
    let read = kit.cx.snapshot.flows.iter().any(|f| f.watermark.is_some());
    let word = match (level, bad + warn + unknown) {
        (Level::Ok, _) if !read => t.nothing_read.to_owned(),
        (Level::Ok, _) => t.all_well.to_owned(),
        (_, 1) => t.one_problem.to_owned(),
        (_, n) => fill(t.n_problems, &[("n", &n.to_string())]),
    };
    let level = if level == Level::Ok && !read { Level::Unknown } else { level };
    // The oldest watermark: all that is shown is complete up to here.
    let data = match kit.cx.snapshot.flows.iter().filter_map(|f| f.watermark).min() {
        Some(w) => Html::fill(t.data_to, &[("time", kit.time(w)), ("age", kit.counting(w))]),
        None => Html::default(),
    };
    let say = items.iter().take(2).map(|i| i.title.as_str()).collect::<Vec<_>>().join(". ");
    let say = if say.is_empty() { word.clone() } else { say };
    render("pulse", &Pulse { href: kit.url(&View::Overview), state: State { level, word }, bad, warn, say, data })
}

struct Row {
    href: String,
    name: String,
    state: State,
    here: bool,
}

#[derive(Template)]
#[template(path = "part/menu.html")]
struct Menu {
    t: &'static Texts,
    rows: Vec<Row>,
}

/// The flows as links, by name.
pub fn menu(kit: &Kit, view: &View) -> Part {
    let row = |f: &std::sync::Arc<crate::snapshot::FlowView>| Row {
        href: kit.url(&View::Flow(f.name.clone())),
        name: f.name.clone(),
        state: flow_state(kit, f),
        here: matches!(view, View::Flow(name) if *name == f.name),
    };
    let mut rows: Vec<Row> = kit.cx.snapshot.flows.iter().map(row).collect();
    rows.sort_by(|a, b| natural(&a.name, &b.name));
    render("menu", &Menu { t: kit.t, rows })
}
