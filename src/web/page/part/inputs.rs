//! Partitions that are read: where we stand, where the log ends, and what went missing.

use askama::Template;

use crate::snapshot::{FlowView, SourceView};
use crate::text::i18n::{Texts, fill};
use crate::text::number::{self, UNKNOWN};
use crate::web::page::Part;
use crate::web::page::health::{behind, source_state};
use crate::web::page::kit::{Html, Kit, Level, State};

use super::{MAX_ROWS, render};

struct Row {
    place: String,
    cluster: String,
    generation: String,
    state: State,
    reason: Html,
    age: String,
    next: String,
    end: String,
    unread: String,
    expired: String,
    undecodable: String,
    lost: bool,
    spoiled: bool,
}

#[derive(Template)]
#[template(path = "part/sources.html")]
struct Sources {
    t: &'static Texts,
    id: &'static str,
    title: &'static str,
    hint: &'static str,
    rows: Vec<Row>,
    more: String,
    empty: &'static str,
}

/// On a flow's page: the partitions of the streams in which it was seen.
pub fn inputs(kit: &Kit, flow: &FlowView) -> Part {
    table(kit, "inputs", kit.t.inputs, kit.t.inputs_hint, |s| flow.is_fed_by(&s.key))
}

/// On the status page: the same, worst first.
pub fn sources(kit: &Kit) -> Part {
    table(kit, "sources", kit.t.sources, kit.t.worst_first, |_| true)
}

fn table(
    kit: &Kit,
    id: &'static str,
    title: &'static str,
    hint: &'static str,
    listed: impl Fn(&SourceView) -> bool,
) -> Part {
    let listed = kit.cx.snapshot.sources.iter().filter(|s| listed(s));
    let mut sources: Vec<(State, &SourceView)> = listed.map(|s| (source_state(kit, s), s)).collect();
    sources.sort_by(|a, b| b.0.level.cmp(&a.0.level).then_with(|| a.1.key.cmp(&b.1.key)));
    let hidden = sources.len().saturating_sub(MAX_ROWS);
    let rows = sources.into_iter().take(MAX_ROWS).map(|(state, s)| row(kit, state, s)).collect();
    let more = if hidden > 0 { fill(kit.t.n_more, &[("n", &hidden.to_string())]) } else { String::new() };
    render(id, &Sources { t: kit.t, id, title, hint, rows, more, empty: kit.t.no_sources })
}

fn row(kit: &Kit, state: State, s: &SourceView) -> Row {
    let t = kit.t;
    let behind = behind(kit, s);
    let position = |n: Option<u64>| n.map_or_else(|| UNKNOWN.to_owned(), number::count);
    let opened = s.state != "opening";
    let trouble = matches!(state.level, Level::Bad | Level::Unknown) || !s.reason.is_empty();
    let reason = if trouble {
        Html::dots([Html::fill(t.since, &[("time", kit.time(s.since))]), Html::text(&s.reason)])
    } else {
        Html::default()
    };
    Row {
        place: format!("{}/{}", s.key.stream, s.key.partition),
        cluster: s.key.cluster.to_string(),
        generation: if s.key.generation > 0 {
            fill(t.generation, &[("n", &s.key.generation.to_string())])
        } else {
            String::new()
        },
        reason,
        age: behind.seconds.map_or_else(|| UNKNOWN.to_owned(), |a| number::duration(a, kit.locale).text()),
        next: position(opened.then_some(s.next)),
        end: position(s.end),
        unread: position(behind.unread.filter(|_| opened)),
        expired: number::count(s.expired),
        undecodable: number::count(s.undecodable),
        lost: s.expired > 0,
        spoiled: s.undecodable > 0,
        state,
    }
}
