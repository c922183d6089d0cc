//! What needs attention, worst first.

use askama::Template;

use crate::snapshot::FlowView;
use crate::text::i18n::{Texts, fill};
use crate::web::page::Part;
use crate::web::page::health::{self, Item};
use crate::web::page::kit::{Html, Kit, Level, State};

use super::render;

/// Items at most: an operator reads no further; the rest is counted.
const MAX_ITEMS: usize = 6;

#[derive(Template)]
#[template(path = "part/attention.html")]
struct Attention {
    t: &'static Texts,
    items: Vec<Item>,
    more: String,
    calm: State,
    calm_detail: Html,
    tags: bool,
}

/// Of one flow, or of everything.
pub fn attention(kit: &Kit, only: Option<&FlowView>) -> Part {
    let t = kit.t;
    let mut items = health::attention(kit, only);
    let hidden = items.len().saturating_sub(MAX_ITEMS);
    items.truncate(MAX_ITEMS);
    let more = if hidden > 0 { fill(t.n_more, &[("n", &hidden.to_string())]) } else { String::new() };
    let snapshot = kit.cx.snapshot;
    let read = only.map_or_else(|| snapshot.flows.iter().any(|f| f.watermark.is_some()), |f| f.watermark.is_some());
    let calm = if read {
        State { level: Level::Ok, word: t.nothing_needs.to_owned() }
    } else {
        State { level: Level::Unknown, word: health::not_read_yet(kit) }
    };
    let calm_detail = match only {
        Some(_) => Html::text(t.checked_flow),
        None => Html::text(&fill(
            t.checked,
            &[("flows", &snapshot.flows.len().to_string()), ("sources", &snapshot.sources.len().to_string())],
        )),
    };
    render("attention", &Attention { t, items, more, calm, calm_detail, tags: only.is_none() })
}
