//! The head of a flow's page: its name, its state, and every note that changes how its numbers are read.

use askama::Template;

use crate::snapshot::FlowView;
use crate::text::i18n::fill;
use crate::text::number;
use crate::web::page::Part;
use crate::web::page::health::{flow_state, is_live};
use crate::web::page::kit::{Html, Kit, Level, State};

use super::render;

struct Note {
    level: Level,
    text: Html,
    code: String,
}

#[derive(Template)]
#[template(path = "part/head.html")]
struct Head {
    name: String,
    state: State,
    facts: Html,
    notes: Vec<Note>,
}

/// Of one flow.
pub fn head(kit: &Kit, flow: &FlowView) -> Part {
    let t = kit.t;
    let mut notes = Vec::new();
    let mut note = |level, text: Html| notes.push(Note { level, text, code: String::new() });
    match flow.watermark {
        None => note(Level::Unknown, Html::text(t.nothing_read_yet)),
        Some(w) if !is_live(kit, flow) => {
            note(
                Level::Unknown,
                Html::dots([Html::fill(t.nothing_since, &[("time", kit.time(w))]), Html::text(t.values_frozen)]),
            );
        }
        Some(_) => {}
    }
    if !flow.left_out.is_empty() {
        let names: Vec<String> =
            flow.left_out.iter().take(6).map(|k| format!("{}/{}", k.stream, k.partition)).collect();
        note(Level::Warn, Html::text(&fill(t.left_out, &[("sources", &names.join(", "))])));
    }
    if let Some(inexact) = &flow.inexact {
        let since = Html::fill(t.inexact_since, &[("time", kit.time(inexact.at))]);
        note(Level::Warn, Html::dots([since, kit.cause(&inexact.reason)]));
    }
    if !flow.transactional && flow.watermark.is_some() {
        note(Level::Unknown, Html::text(t.no_transactions_why));
    }
    if flow.never_ends {
        let last = flow.stages.last().map_or("done", |s| s.name.as_str());
        let quoted = |s: &str| serde_json::Value::from(s).to_string();
        let code = format!("[[flow]]\nname = {}\nends_at = [{}]", quoted(&flow.name), quoted(last));
        notes.push(Note { level: Level::Unknown, text: Html::text(t.never_ends_why), code });
    }
    let complete = flow.watermark.map(|w| Html::fill(t.data_to, &[("time", kit.time(w)), ("age", kit.counting(w))]));
    let events = fill(t.n_events, &[("n", &number::count(flow.totals.events))]);
    let started = fill(t.n_started, &[("n", &number::count(flow.totals.started))]);
    let facts = Html::dots([complete.unwrap_or_default(), Html::text(&events), Html::text(&started)]);
    render("head", &Head { name: flow.name.clone(), state: flow_state(kit, flow), facts, notes })
}
