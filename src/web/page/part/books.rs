//! The books of a flow: every transaction that started is in exactly one line.

use askama::Template;

use crate::snapshot::FlowView;
use crate::text::i18n::Texts;
use crate::text::number;
use crate::web::page::Part;
use crate::web::page::kit::{Kit, Level, State};

use super::render;

struct Line {
    name: &'static str,
    value: String,
    class: &'static str,
    zero: bool,
}

#[derive(Template)]
#[template(path = "part/books.html")]
struct Books {
    t: &'static Texts,
    lines: Vec<Line>,
    sum: String,
    started: String,
    state: State,
}

/// The identity with both of its sides.
pub fn books(kit: &Kit, flow: &FlowView) -> Part {
    let (t, totals) = (kit.t, &flow.totals);
    let line = |name, n: u64, class| Line { name, value: number::count(n), class, zero: n == 0 };
    let outcomes = totals.outcomes.as_array();
    let classes = ["ok", "failed", "compensated", "dead_lettered", "timed_out"];
    let mut lines: Vec<Line> = (0..5).map(|i| line(t.outcome(i), outcomes[i], classes[i])).collect();
    let rest = [
        (t.in_flight, totals.in_flight),
        (t.open_ended, totals.open_ended),
        (t.evicted, totals.evicted),
        (t.unexplained, totals.unexplained),
    ];
    lines.extend(rest.iter().map(|(name, n)| line(name, *n, "")));
    let sum = totals.outcomes.sum() + rest.iter().map(|(_, n)| n).sum::<u64>();
    let state = if flow.watermark.is_none() {
        State { level: Level::Unknown, word: t.nothing_read.to_owned() }
    } else if sum == totals.started {
        State { level: Level::Ok, word: t.balanced.to_owned() }
    } else {
        State { level: Level::Bad, word: t.not_balanced.to_owned() }
    };
    render("books", &Books { t, lines, sum: number::count(sum), started: number::count(totals.started), state })
}

#[derive(Template)]
#[template(path = "part/beside.html")]
struct Beside {
    t: &'static Texts,
    lines: Vec<Line>,
}

/// The counters that are no line of the books.
pub fn beside(kit: &Kit, flow: &FlowView) -> Part {
    let (t, totals) = (kit.t, &flow.totals);
    let counters = [
        (t.events, totals.events),
        (t.recovered, totals.recovered),
        (t.joined, totals.joined),
        (t.after_end, totals.after_end),
        (t.duplicates, totals.duplicates),
        (t.late, totals.late),
        (t.truncated, totals.truncated),
        (t.negative, totals.negative),
    ];
    let line = |(name, n)| Line { name, value: number::count(n), class: "", zero: n == 0 };
    render("beside", &Beside { t, lines: counters.into_iter().map(line).collect() })
}
