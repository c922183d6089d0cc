//! Partitions that are read: where we stand, where the log ends, and what went missing.

use std::cmp::Ordering;

use askama::Template;

use crate::snapshot::{FlowView, SourceView};
use crate::text::i18n::{Texts, fill};
use crate::text::natural;
use crate::text::number::{self, UNKNOWN};
use crate::web::page::health::{behind, source_kind, source_state};
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::table::{Column, Sheet};
use crate::web::page::{Part, View};

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
    /// For sorting: the place, the age (unknown below all), position, end, unread, expired, undecodable.
    order: (String, u32),
    seconds: f64,
    numbers: [Option<u64>; 5],
    /// The kind of its state, for filtering.
    kind: (&'static str, State),
}

#[derive(Template)]
#[template(path = "part/sources.html")]
struct Sources {
    t: &'static Texts,
    id: &'static str,
    title: &'static str,
    hint: &'static str,
    sheet: Sheet<Row>,
    empty: &'static str,
}

/// On a flow's page: the partitions of the streams in which it was seen.
pub fn inputs(kit: &Kit, flow: &FlowView) -> Part {
    let t = kit.t;
    let sheet = Sheet::plain(&columns(kit), rows(kit, |s| flow.is_fed_by(&s.key)), MAX_ROWS, t);
    render("inputs", &Sources { t, id: "inputs", title: t.inputs, hint: t.inputs_hint, sheet, empty: t.no_sources })
}

/// On the status page: the same, sorted and filtered as the address says.
pub fn sources(kit: &Kit) -> Part {
    let t = kit.t;
    let text = |r: &Row| format!("{} {} {}", r.cluster, r.place, r.reason.0);
    let sheet = Sheet::new(kit, &View::Status, &columns(kit), rows(kit, |_| true), text, |r| (r.kind.0, &r.kind.1));
    render("sources", &Sources { t, id: "sources", title: t.sources, hint: t.worst_first, sheet, empty: t.no_sources })
}

fn columns(kit: &Kit) -> [Column<Row>; 9] {
    let t = kit.t;
    let word = |key, label, order| Column { key, label, number: false, low: false, order };
    let number = |key, label, order| Column { key, label, number: true, low: false, order };
    let low = |column: Column<Row>| Column { low: true, ..column };
    [
        word("partition", t.partition, places),
        low(word("cluster", t.cluster, |a: &Row, b: &Row| natural(&a.cluster, &b.cluster))),
        word("state", t.state, |a, b| b.state.level.cmp(&a.state.level)),
        number("age", t.data_age, |a: &Row, b: &Row| a.seconds.total_cmp(&b.seconds)),
        low(number("position", t.position, |a: &Row, b: &Row| a.numbers[0].cmp(&b.numbers[0]))),
        low(number("end", t.end, |a: &Row, b: &Row| a.numbers[1].cmp(&b.numbers[1]))),
        number("unread", t.unread, |a: &Row, b: &Row| a.numbers[2].cmp(&b.numbers[2])),
        number("expired", t.expired, |a: &Row, b: &Row| a.numbers[3].cmp(&b.numbers[3])),
        number("undecodable", t.undecodable, |a: &Row, b: &Row| a.numbers[4].cmp(&b.numbers[4])),
    ]
}

fn places(a: &Row, b: &Row) -> Ordering {
    natural(&a.order.0, &b.order.0).then(a.order.1.cmp(&b.order.1))
}

/// Worst first.
fn rows(kit: &Kit, listed: impl Fn(&SourceView) -> bool) -> Vec<Row> {
    let sources = kit.cx.snapshot.sources.iter().filter(|s| listed(s));
    let mut rows: Vec<Row> = sources.map(|s| row(kit, source_state(kit, s), s)).collect();
    rows.sort_by(|a, b| b.state.level.cmp(&a.state.level).then_with(|| places(a, b)));
    rows
}

fn row(kit: &Kit, state: State, s: &SourceView) -> Row {
    let t = kit.t;
    let behind = behind(kit, s);
    let position = |n: Option<u64>| n.map_or_else(|| UNKNOWN.to_owned(), number::count);
    let opened = s.state != "opening";
    let trouble = matches!(state.level, Level::Bad | Level::Unknown) || !s.reason.is_empty();
    let reason = if trouble {
        Html::dots([Html::fill(t.since, &[("time", kit.time(s.since))]), kit.cause(&s.reason)])
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
        order: (s.key.stream.to_string(), s.key.partition),
        seconds: behind.seconds.unwrap_or(-1.0),
        numbers: [
            opened.then_some(s.next),
            s.end,
            behind.unread.filter(|_| opened),
            Some(s.expired),
            Some(s.undecodable),
        ],
        kind: (s.state, source_kind(kit, s.state)),
        state,
    }
}
