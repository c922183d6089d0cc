//! The partitions of one group: where it stands, how old what it has not read is, who has it, and why we say so.

use askama::Template;

use crate::snapshot::{CoursePoint, GroupView, LagCluster, LagRow, LagState, ToldLag};
use crate::text::i18n::{LagTexts, Texts, fill};
use crate::text::number;
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::lens::Lens;
use crate::web::page::part::render;
use crate::web::page::table::{Column, Head, Pager, heads, pager};
use crate::web::page::{Part, View, percent_encode};

use super::order;
use super::words::{self, Cell};

struct Row {
    key: String,
    place: String,
    state: State,
    meaning: &'static str,
    why: String,
    committed: Cell,
    start: String,
    end: Cell,
    lag: Cell,
    readable: Cell,
    age: Cell,
    drain: Cell,
    rate: Cell,
    burrow: &'static str,
    owner: String,
    host: String,
    told: Html,
    samples: Vec<[String; 3]>,
    course: Html,
    peek: String,
}

#[derive(Template)]
#[template(path = "part/group_rows.html")]
struct Rows {
    t: &'static Texts,
    l: &'static LagTexts,
    heads: Vec<Head>,
    rows: Vec<Row>,
    pager: Pager,
    told: bool,
    empty: &'static str,
}

/// The columns.
pub fn columns(l: &'static LagTexts) -> Vec<Column> {
    vec![
        ("partition", l.partition, "", ""),
        ("state", l.state, "", ""),
        ("committed", l.committed, "", "r"),
        ("end", l.log_end, "", "r"),
        ("lag", l.messages, l.messages_why, "r"),
        ("readable", l.readable, l.readable_why, "r"),
        ("age", l.oldest, l.oldest_why, "r"),
        ("drain", l.drain, l.drain_why, "r"),
        ("rate", l.rate, l.rate_why, "r"),
        ("burrow", l.burrow, l.burrow_why, ""),
        ("owner", l.owner, "", ""),
    ]
}

/// The table of partitions as a lens shows it.
pub fn table(kit: &Kit, cluster: &str, name: &str, lens: &Lens, found: Option<(&LagCluster, &GroupView)>) -> Part {
    let l = kit.l;
    let none: &[LagRow] = &[];
    let all = found.map_or(none, |(_, g)| &g.rows);
    let mut rows: Vec<&LagRow> = all
        .iter()
        .filter(|r| lens.has_state(r.state.name()))
        .filter(|r| lens.stream.is_empty() || *r.stream == *lens.stream)
        .filter(|r| {
            lens.has_name(&place(r))
                || r.owner.as_deref().is_some_and(|(id, host)| lens.has_name(id) || lens.has_name(host))
        })
        .collect();
    rows.sort_by(|a, b| order::rows(lens, a, b));
    let mut told = kit.cx.snapshot.lag.told();
    told.retain(|about, _| about.0 == cluster && about.1 == name);
    let view = |lens| View::Group(cluster.to_owned(), name.to_owned(), lens);
    let shown = rows[lens.window(rows.len())].iter();
    let page = Rows {
        t: kit.t,
        l,
        heads: heads(kit, lens, &columns(l), view),
        rows: shown
            .map(|r| row(kit, cluster, r, told.get(&(cluster, name, &*r.stream, r.partition)).copied()))
            .collect(),
        pager: pager(kit, lens, rows.len(), all.len(), view),
        told: !told.is_empty(),
        empty: match (found.is_some(), all.is_empty()) {
            (false, _) => l.group_gone,
            (true, true) => l.no_rows,
            (true, false) => l.none_match_rows,
        },
    };
    render("group-rows", &page)
}

fn place(row: &LagRow) -> String {
    format!("{}/{}", row.stream, row.partition)
}

fn row(kit: &Kit, cluster: &str, row: &LagRow, told: Option<&ToldLag>) -> Row {
    let l = kit.l;
    let position = |at| Cell::plain(words::position(at));
    let (owner, host) =
        row.owner.as_deref().map_or_else(Default::default, |(id, host)| (id.to_string(), host.to_string()));
    let sample = |(before, committed, end): CoursePoint| {
        let age = fill(l.sample_ago, &[("age", &kit.age(f64::from(before)))]);
        [age, number::count(committed), number::count(end)]
    };
    let course: Vec<Option<f32>> =
        row.samples().map(|(_, committed, end)| Some(end.saturating_sub(committed) as f32)).collect();
    Row {
        key: place(row),
        place: place(row),
        state: words::state(kit, row.state),
        meaning: words::words(l, row.state).1,
        why: words::reason(kit, row.state, &row.reason),
        committed: position(row.committed.get()),
        start: words::position(row.start.get()),
        end: position(row.end.get()),
        lag: Cell::plain(words::messages(row.lag_messages())),
        readable: position(row.readable.get()),
        age: words::age(kit, row),
        drain: words::drain(kit, row.drain_seconds.get(), row.lag_messages()),
        rate: Cell::plain(kit.rate(row.commit_rate.get())),
        burrow: row.burrow.name(),
        owner,
        host,
        told: told.map_or_else(Html::default, |t| told_words(kit, t)),
        samples: row.samples().map(sample).collect(),
        course: words::sparkline(&course, words::level(row.state)),
        peek: peek(kit, cluster, row),
    }
}

/// What a lag event said, and when.
fn told_words(kit: &Kit, told: &ToldLag) -> Html {
    let l = kit.l;
    Html::dots([
        Html::text(&told.unread().map_or_else(String::new, |n| fill(l.told_unread, &[("n", &number::count(n))]))),
        Html::text(&told.pending.map_or_else(String::new, |n| fill(l.told_pending, &[("n", &number::count(n))]))),
        Html::text(
            &told.oldest_pending_seconds.map_or_else(String::new, |s| fill(l.told_oldest, &[("age", &kit.age(s))])),
        ),
        Html::fill(l.as_of, &[("time", kit.time(told.at))]),
    ])
}

/// Where the record can be looked at that a partition stands at; empty where it may not be, or nothing stands.
fn peek(kit: &Kit, cluster: &str, row: &LagRow) -> String {
    let stands = matches!(row.state, LagState::Stalled | LagState::Stopped | LagState::AckStalled | LagState::Lagging)
        || words::level(row.state) == Level::Bad;
    let waits = row.lag_messages().is_some_and(|n| n > 0) || row.readable.get().is_some_and(|n| n > 0);
    match row.committed.get() {
        Some(committed) if kit.cx.status.peek && stands && waits => {
            let at = committed.max(row.start.get().unwrap_or(0));
            let (cluster, stream) = (percent_encode(cluster), percent_encode(&row.stream));
            format!("{}/peek?cluster={cluster}&stream={stream}&partition={}&position={at}", kit.cx.base, row.partition)
        }
        _ => String::new(),
    }
}
