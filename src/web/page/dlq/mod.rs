//! The pages of dead letters: all streams, and one of them.

use std::cmp::Ordering;

use askama::Template;

use crate::snapshot::{DlqBoard, DlqLeftOut, DlqStream, FoundBy};
use crate::text::i18n::{DlqTexts, LagTexts, fill};
use crate::text::{natural, number};
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::part::render;
use crate::web::page::{Part, View};

use super::consumers::{Cell, Kept, sparkline, trend_words};
use super::lens::Lens;
use super::table::{Column, Head, Pager, counts, growth, heads, names as in_order, numbers, pager, turned};

mod audit;
mod form;
mod stream;

pub use audit::audit;
pub use form::{Notice, Runs, peek, redrive};

/// Columns of the table that can be sorted by.
pub const COLUMNS: &[&str] =
    &["stream", "state", "retained", "unhandled", "inflow", "oldest", "expired", "trend", "error", "found"];

/// Streams named beside the table at most.
const MAX_NAMES: usize = 20;

/// The parts of `/dlq`.
pub fn all(kit: &Kit, lens: &Lens, kept: Kept) -> Vec<Part> {
    vec![kept.part("dlq", || table(kit, lens))]
}

/// The parts of `/dlq/{cluster}/{stream}`.
pub fn one(kit: &Kit, cluster: &str, name: &str, kept: Kept) -> Vec<Part> {
    let found = find(&kit.cx.snapshot.dlq, cluster, name);
    vec![
        stream::head(kit, cluster, name, found),
        kept.part("dlq-windows", || stream::windows(kit, found)),
        kept.part("dlq-breakdown", || stream::breakdown(kit, found)),
        kept.part("dlq-letters", || stream::letters(kit, found)),
    ]
}

/// A stream by its names.
pub fn find<'a>(board: &'a DlqBoard, cluster: &str, stream: &str) -> Option<&'a DlqStream> {
    board.streams.iter().find(|s| s.cluster == cluster && *s.stream == *stream).map(|s| &**s)
}

/// Letters that arrive are news, those that wait are work, those that expired are lost: each wants a look.
pub fn state(kit: &Kit, stream: &DlqStream) -> State {
    let d = kit.d;
    let arriving = stream.inflow_per_minute.is_some_and(|n| n > 0.0);
    let (level, word) = match stream.unhandled {
        _ if !stream.answering => (Level::Unknown, d.s_unknown),
        None => (Level::Unknown, d.s_unknown),
        Some(_) if arriving => (Level::Warn, d.s_arriving),
        Some(0) if stream.expired > 0 => (Level::Warn, d.s_expiring),
        Some(0) => (Level::Ok, d.s_empty),
        Some(_) => (Level::Warn, d.s_quiet),
    };
    State { level, word: word.to_owned() }
}

/// What of a stream is not known, or not exact.
pub fn why(kit: &Kit, stream: &DlqStream) -> String {
    let group = match &stream.redrive_group {
        Some(group) => fill(kit.d.by_group, &[("group", group)]),
        None => kit.d.no_group.to_owned(),
    };
    let frozen = if stream.answering { "" } else { kit.d.frozen };
    [frozen, &stream.fault, &group, &readers(kit, stream)]
        .into_iter()
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" \u{b7} ")
}

/// Which groups read a stream without handling its letters; empty: none.
pub fn readers(kit: &Kit, stream: &DlqStream) -> String {
    if stream.readers.is_empty() {
        return String::new();
    }
    fill(kit.d.read_by, &[("groups", &stream.readers.join(", "))])
}

/// How a stream was found.
pub fn found(d: &'static DlqTexts, by: FoundBy) -> &'static str {
    match by {
        FoundBy::Config => d.found_config,
        FoundBy::TopicConfig => d.found_topic,
        FoundBy::Name => d.found_name,
        FoundBy::Headers => d.found_headers,
    }
}

/// A count that may be unknown.
pub fn count(n: Option<u64>) -> String {
    n.map_or_else(|| number::UNKNOWN.to_owned(), number::count)
}

fn main_error(stream: &DlqStream) -> Option<(&str, f64)> {
    let (class, n) = stream.by_error.first()?;
    (stream.looked_at > 0).then(|| (class.as_str(), *n as f64 / stream.looked_at as f64))
}

fn order(kit: &Kit, lens: &Lens, a: &DlqStream, b: &DlqStream) -> Ordering {
    let r = lens.reversed;
    let class = |s: &DlqStream| main_error(s).map(|e| e.0.to_owned()).unwrap_or_default();
    let level = |s: &DlqStream| state(kit, s).level;
    let first = match lens.sort {
        "stream" => in_order(&a.stream, &b.stream, r),
        "state" => turned(level(b).cmp(&level(a)), r),
        "retained" => counts(a.retained, b.retained, r),
        "unhandled" => counts(a.unhandled, b.unhandled, r),
        "inflow" => numbers(a.inflow_per_minute, b.inflow_per_minute, r),
        "oldest" => numbers(a.oldest_unhandled_age_seconds, b.oldest_unhandled_age_seconds, r),
        "expired" => counts(Some(a.expired), Some(b.expired), r),
        "trend" => numbers(growth(&a.trend), growth(&b.trend), r),
        "error" => in_order(&class(a), &class(b), r),
        "found" => turned((a.found_by as u8).cmp(&(b.found_by as u8)), r),
        _ => Ordering::Equal,
    };
    first
        .then_with(|| level(b).cmp(&level(a)))
        .then_with(|| b.inflow_per_minute.unwrap_or(0.0).total_cmp(&a.inflow_per_minute.unwrap_or(0.0)))
        .then_with(|| b.unhandled.cmp(&a.unhandled))
        .then_with(|| natural(&a.stream, &b.stream))
        .then_with(|| natural(&a.cluster, &b.cluster))
}

struct Row {
    key: String,
    href: String,
    name: String,
    cluster: String,
    state: State,
    why: String,
    cells: Vec<(Cell, &'static str)>,
    trend: Html,
    trend_words: String,
    error: Html,
    error_share: String,
    found: &'static str,
}

#[derive(Template)]
#[template(path = "part/dlq.html")]
struct Table {
    l: &'static LagTexts,
    d: &'static DlqTexts,
    title: &'static str,
    heads: Vec<Head>,
    rows: Vec<Row>,
    pager: Pager,
    empty: &'static str,
    beside: Vec<(&'static str, String)>,
    /// Where who looked and moved is listed; empty: nowhere.
    audit: String,
}

/// Streams of a board that are named beside the table.
fn names(list: &[(String, std::sync::Arc<str>)]) -> String {
    let named = list.iter().take(MAX_NAMES).map(|(_, stream)| &**stream).collect::<Vec<_>>().join(", ");
    if list.len() > MAX_NAMES { format!("{named} \u{2026}") } else { named }
}

/// What bounds left out, over all clusters, each under its own name.
fn left_out(d: &'static DlqTexts, board: &DlqBoard) -> Vec<(&'static str, String)> {
    let sum = |of: fn(&DlqLeftOut) -> u64| board.left_out.values().map(of).sum::<u64>();
    let all = [
        (d.left_streams, sum(|l| l.streams)),
        (d.left_suggested, sum(|l| l.suggested)),
        (d.left_retry, sum(|l| l.retry)),
        (d.left_counters, sum(|l| l.counters)),
    ];
    all.into_iter().filter(|(_, n)| *n > 0).map(|(label, n)| (label, number::count(n))).collect()
}

/// The table of streams as a lens shows it.
fn table(kit: &Kit, lens: &Lens) -> Part {
    let (d, board) = (kit.d, &kit.cx.snapshot.dlq);
    let mut streams: Vec<&DlqStream> = board
        .streams
        .iter()
        .map(|s| &**s)
        .filter(|s| lens.has_name(&s.stream) && (lens.cluster.is_empty() || s.cluster == lens.cluster))
        .collect();
    streams.sort_by(|a, b| order(kit, lens, a, b));
    let many = board.streams.windows(2).any(|w| w[0].cluster != w[1].cluster);
    let columns: [Column; 10] = [
        ("stream", d.stream, "", ""),
        ("state", kit.l.state, "", ""),
        ("unhandled", d.unhandled, d.unhandled_why, "r"),
        ("inflow", d.inflow, d.inflow_why, "r"),
        ("oldest", d.oldest, "", "r"),
        ("retained", d.retained, d.retained_why, "r"),
        ("expired", d.expired, d.expired_why, "r"),
        ("trend", d.trend, "", "sp"),
        ("error", d.error, "", ""),
        ("found", d.found, "", ""),
    ];
    let view = |lens| View::Dlq(lens);
    let page = Table {
        l: kit.l,
        d,
        title: kit.t.streams,
        heads: heads(kit, lens, &columns, view),
        rows: streams[lens.window(streams.len())].iter().map(|s| row(kit, s, many)).collect(),
        pager: pager(kit, lens, streams.len(), board.streams.len(), view),
        empty: match board.streams.is_empty() {
            true if kit.cx.status.letters_off => d.off,
            true => d.none,
            false => d.none_match,
        },
        audit: if kit.cx.status.redrive || kit.cx.status.peek {
            format!("{}/dlq/audit", kit.cx.base)
        } else {
            String::new()
        },
        beside: [(d.suggested, &board.suggested), (d.retried, &board.retry)]
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(label, list)| (label, names(list)))
            .chain(kit.cx.status.letters_by_patterns.then(|| (d.by_patterns, String::new())))
            .chain(left_out(d, board))
            .collect(),
    };
    render("dlq", &page)
}

/// Age of the oldest unhandled letter; nothing where nothing waits.
pub fn oldest(kit: &Kit, stream: &DlqStream) -> Cell {
    match (stream.oldest_unhandled_age_seconds, stream.unhandled) {
        (Some(age), _) => Cell::plain(kit.age(age)),
        (None, Some(0)) => Cell::nothing(kit.d.nothing_waits, ""),
        (None, _) => Cell::nothing(number::UNKNOWN, kit.t.unknown_why),
    }
}

/// Letters that arrive per minute.
pub fn inflow(kit: &Kit, stream: &DlqStream) -> String {
    stream
        .inflow_per_minute
        .map_or_else(|| number::UNKNOWN.to_owned(), |n| format!("{}{}", number::rate(n), kit.d.per_minute))
}

fn row(kit: &Kit, stream: &DlqStream, many: bool) -> Row {
    let d = kit.d;
    let state = state(kit, stream);
    let error = main_error(stream);
    Row {
        key: format!("{}/{}", stream.cluster, stream.stream),
        href: kit.url(&View::DlqStream(stream.cluster.clone(), stream.stream.to_string())),
        name: stream.stream.to_string(),
        cluster: if many { stream.cluster.clone() } else { String::new() },
        why: why(kit, stream),
        cells: vec![
            (Cell::plain(count(stream.unhandled)), d.unhandled),
            (Cell::plain(inflow(kit, stream)), d.inflow),
            (oldest(kit, stream), d.oldest),
            (Cell::plain(count(stream.retained)), d.retained),
            (Cell::plain(number::count(stream.expired)), d.expired),
        ],
        trend: sparkline(&stream.trend, state.level),
        trend_words: trend_words(&stream.trend),
        error: match error {
            Some(("", _)) => Html::text(d.no_class),
            Some((class, _)) => Html::breakable(class),
            None => Html::default(),
        },
        error_share: error.map(|e| number::percent(e.1).text()).unwrap_or_default(),
        found: found(d, stream.found_by),
        state,
    }
}
