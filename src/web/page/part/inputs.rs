//! Partitions that are read: where we stand, where the log ends, and what went missing.

use std::cmp::Ordering;

use askama::Template;

use crate::snapshot::{FlowView, SourceView};
use crate::text::i18n::{LagTexts, Texts, fill};
use crate::text::natural;
use crate::text::number::{self, UNKNOWN};
use crate::web::page::health::{Behind, SOURCE_STATES, behind, source_kind, source_state};
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::lens::Lens;
use crate::web::page::table::{
    Chip, Column, Head, Pager, chips, counts, heads, names, numbers, pager, plain_heads, turned,
};
use crate::web::page::{Part, View, percent_decode};

use super::{MAX_ROWS, render};

/// Columns of the table of sources that can be sorted by.
pub const COLUMNS: &[&str] =
    &["partition", "cluster", "state", "age", "position", "end", "unread", "expired", "undecodable"];

/// A source with what is made of it.
struct Entry<'a> {
    source: &'a SourceView,
    state: State,
    behind: Behind,
}

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

/// What filters the table, where there is anything to filter.
struct Filters {
    action: String,
    kept: Vec<(String, String)>,
    find: String,
    chips: Vec<Chip>,
    clear: String,
}

#[derive(Template)]
#[template(path = "part/sources.html")]
struct Sources {
    t: &'static Texts,
    l: &'static LagTexts,
    id: &'static str,
    title: &'static str,
    hint: &'static str,
    filters: Option<Filters>,
    heads: Vec<Head>,
    rows: Vec<Row>,
    pager: Pager,
    empty: &'static str,
}

/// On a flow's page: the partitions of the streams in which it was seen, worst first.
pub fn inputs(kit: &Kit, flow: &FlowView) -> Part {
    let (t, l) = (kit.t, kit.l);
    let mut entries = entries(kit, |s| flow.is_fed_by(&s.key));
    entries.sort_by(|a, b| order(&Lens::default(), a, b));
    let (all, shown) = (entries.len(), entries.len().min(MAX_ROWS));
    let count = |n: usize| number::count(n as u64);
    let of_all =
        if all > shown { fill(t.n_of_all, &[("n", &count(shown)), ("m", &count(all))]) } else { String::new() };
    let page = Sources {
        t,
        l,
        id: "inputs",
        title: t.inputs,
        hint: t.inputs_hint,
        filters: None,
        heads: plain_heads(&columns(t)),
        rows: entries.into_iter().take(shown).map(|e| row(kit, e)).collect(),
        pager: Pager { shown: of_all, ..Pager::default() },
        empty: t.no_sources,
    };
    render("inputs", &page)
}

/// On the status page: all of them, as a lens shows them.
pub fn sources(kit: &Kit, lens: &Lens) -> Part {
    let (t, l) = (kit.t, kit.l);
    let mut entries = entries(kit, |_| true);
    let all = entries.len();
    entries.retain(|e| (lens.cluster.is_empty() || lens.cluster == *e.source.key.cluster) && lens.has_name(&text(e)));
    entries.retain(|e| lens.stream.is_empty() || lens.stream == *e.source.key.stream);
    let states = SOURCE_STATES.map(|name| {
        let n = entries.iter().filter(|e| e.source.state == name).count();
        (name, source_kind(kit, name), "", n as u64)
    });
    let chips = chips(kit, lens, states, View::Status);
    entries.retain(|e| lens.has_state(e.source.state));
    entries.sort_by(|a, b| order(lens, a, b));
    let (window, found) = (lens.window(entries.len()), entries.len());
    let page = Sources {
        t,
        l,
        id: "sources",
        title: t.sources,
        hint: if lens.sort.is_empty() { t.worst_first } else { "" },
        filters: (all > 1).then(|| filters(kit, lens, chips)),
        heads: heads(kit, lens, &columns(t), View::Status),
        rows: entries.drain(window).map(|e| row(kit, e)).collect(),
        pager: pager(kit, lens, found, all, View::Status),
        empty: if all == 0 { t.no_sources } else { l.none_match_rows },
    };
    render("sources", &page)
}

fn filters(kit: &Kit, lens: &Lens, chips: Vec<Chip>) -> Filters {
    // Everything else that the address says; a new text begins at the first page.
    let url = kit.url(&View::Status(lens.with(|l| l.text.clear())));
    let (action, query) = url.split_once('?').unwrap_or((&url, ""));
    let pair = |p: &str| p.split_once('=').map(|(n, v)| (n.to_owned(), percent_decode(v).unwrap_or_default()));
    let cleared = Lens { sort: lens.sort, reversed: lens.reversed, ..Lens::default() };
    Filters {
        action: action.to_owned(),
        kept: query.split('&').filter_map(pair).collect(),
        find: lens.text.clone(),
        chips: if chips.len() > 1 || !lens.state.is_empty() { chips } else { Vec::new() },
        clear: if lens.filters() { kit.url(&View::Status(cleared)) } else { String::new() },
    }
}

fn columns(t: &'static Texts) -> [Column; 9] {
    [
        ("partition", t.partition, "", ""),
        ("cluster", t.cluster, "", "lo"),
        ("state", t.state, "", ""),
        ("age", t.data_age, "", "r"),
        ("position", t.position, "", "r lo"),
        ("end", t.end, "", "r lo"),
        ("unread", t.unread, "", "r"),
        ("expired", t.expired, "", "r"),
        ("undecodable", t.undecodable, "", "r"),
    ]
}

fn entries<'a>(kit: &Kit<'a>, listed: impl Fn(&SourceView) -> bool) -> Vec<Entry<'a>> {
    let entry = |source| Entry { source, state: source_state(kit, source), behind: behind(kit, source) };
    kit.cx.snapshot.sources.iter().filter(|s| listed(s)).map(entry).collect()
}

/// What is searched.
fn text(e: &Entry) -> String {
    let key = &e.source.key;
    format!("{} {}/{} {}", key.cluster, key.stream, key.partition, e.source.reason)
}

/// Where nothing is known yet, zeros are none.
fn opened(source: &SourceView) -> bool {
    source.state != "opening"
}

fn order(lens: &Lens, a: &Entry, b: &Entry) -> Ordering {
    let (x, y, r) = (a.source, b.source, lens.reversed);
    let places = || natural(&x.key.stream, &y.key.stream).then(x.key.partition.cmp(&y.key.partition));
    let next = |s: &SourceView| opened(s).then_some(s.next);
    let unread = |e: &Entry| e.behind.unread.filter(|_| opened(e.source));
    let first = match lens.sort {
        "partition" => turned(places(), r),
        "cluster" => names(&x.key.cluster, &y.key.cluster, r),
        "state" => turned(b.state.level.cmp(&a.state.level), r),
        "age" => numbers(a.behind.seconds, b.behind.seconds, r),
        "position" => counts(next(x), next(y), r),
        "end" => counts(x.end, y.end, r),
        "unread" => counts(unread(a), unread(b), r),
        "expired" => counts(Some(x.expired), Some(y.expired), r),
        "undecodable" => counts(Some(x.undecodable), Some(y.undecodable), r),
        _ => Ordering::Equal,
    };
    first.then_with(|| b.state.level.cmp(&a.state.level)).then_with(places)
}

fn row(kit: &Kit, entry: Entry) -> Row {
    let Entry { source: s, state, behind } = entry;
    let t = kit.t;
    let position = |n: Option<u64>| n.map_or_else(|| UNKNOWN.to_owned(), number::count);
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
        next: position(opened(s).then_some(s.next)),
        end: position(s.end),
        unread: position(behind.unread.filter(|_| opened(s))),
        expired: number::count(s.expired),
        undecodable: number::count(s.undecodable),
        lost: s.expired > 0,
        spoiled: s.undecodable > 0,
        state,
    }
}
