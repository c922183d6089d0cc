//! One stream of dead letters: its five numbers, its windows, where the letters come from, the newest ones.

use askama::Template;

use crate::snapshot::{DlqStream, LetterView};
use crate::text::i18n::{DlqTexts, fill};
use crate::text::number::{self, Quantity};
use crate::web::page::consumers::{Tile, numbers, sparkline};
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::lens::Lens;
use crate::web::page::part::{render, to_html};
use crate::web::page::{Part, View, percent_encode};

use super::{count, found, inflow, oldest, readers, state};

/// Rows of one breakdown; the rest is counted.
const MAX_SHARES: usize = 8;
/// Newest letters shown.
const MAX_LETTERS: usize = 50;

#[derive(Template)]
#[template(path = "part/dlq_head.html")]
struct Head {
    d: &'static DlqTexts,
    name: String,
    back: String,
    state: State,
    facts: Html,
    note: String,
    redrive: String,
    tiles: Html,
}

/// The head with the five numbers; `stream` is `None` where it is no longer watched.
pub fn head(kit: &Kit, cluster: &str, name: &str, stream: Option<&DlqStream>) -> Part {
    let d = kit.d;
    let back = kit.url(&View::Dlq(Lens::default()));
    let redrive = match stream {
        Some(_) if kit.cx.status.redrive => {
            format!("{}/dlq/{}/{}/redrive", kit.cx.base, percent_encode(cluster), percent_encode(name))
        }
        _ => String::new(),
    };
    let interrupted = &kit.cx.snapshot.dlq.interrupted;
    let is_interrupted = interrupted.iter().any(|(c, s)| c == cluster && **s == *name);
    let head = match stream {
        None => Head {
            d,
            name: name.to_owned(),
            back,
            state: State { level: Level::Unknown, word: d.s_unknown.to_owned() },
            facts: Html::text(cluster),
            note: d.gone.to_owned(),
            redrive,
            tiles: Html::default(),
        },
        Some(s) => Head {
            d,
            name: name.to_owned(),
            back,
            state: state(kit, s),
            facts: Html::dots([
                Html::text(cluster),
                Html::text(&format!("{}: {}", d.found, found(d, s.found_by))),
                s.as_of.map(|at| Html::fill(kit.l.as_of, &[("time", kit.time(at))])).unwrap_or_default(),
                Html::text(&s.fault),
                Html::text(&readers(kit, s)),
            ]),
            note: match (s.answering, is_interrupted) {
                (false, _) => d.frozen.to_owned(),
                (true, true) => d.interrupted_run.to_owned(),
                (true, false) => String::new(),
            },
            redrive,
            tiles: Html(numbers("dlq-numbers", d.unhandled, tiles(kit, s)).html),
        },
    };
    Part { id: "dlq-head".to_owned(), html: to_html(&head) }
}

fn tiles(kit: &Kit, stream: &DlqStream) -> Vec<Tile> {
    let d = kit.d;
    let tile = |label, value: String, sub: &str, level| Tile {
        label,
        href: String::new(),
        value: Quantity::new(value, ""),
        sub: Html::text(sub),
        level,
        art: Html::default(),
    };
    let level = |n: Option<u64>| match n {
        None => Level::Unknown,
        Some(0) => Level::Ok,
        Some(_) => Level::Warn,
    };
    let old = oldest(kit, stream);
    let old_value = if old.quiet { number::UNKNOWN.to_owned() } else { old.value.clone() };
    let old_words = if old.quiet && old.title.is_empty() { old.value.as_str() } else { old.title.as_str() };
    let arriving = match stream.inflow_per_minute {
        None => Level::Unknown,
        Some(n) if n > 0.0 => Level::Warn,
        Some(_) => Level::Ok,
    };
    let group = match &stream.redrive_group {
        Some(group) => fill(d.by_group, &[("group", group)]),
        None => d.no_group.to_owned(),
    };
    let waits = level(stream.unhandled);
    vec![
        Tile { art: sparkline(&stream.trend, waits), ..tile(d.unhandled, count(stream.unhandled), &group, waits) },
        tile(d.inflow, inflow(kit, stream), kit.t.last_1m, arriving),
        tile(
            d.oldest,
            old_value,
            old_words,
            if old.quiet && stream.unhandled != Some(0) { Level::Unknown } else { waits },
        ),
        tile(
            d.retained,
            count(stream.retained),
            "",
            if stream.retained.is_some() { Level::Ok } else { Level::Unknown },
        ),
        tile(d.expired, number::count(stream.expired), d.expired_why, level(Some(stream.expired))),
    ]
}

struct Window {
    name: &'static str,
    note: &'static str,
    numbers: Vec<(String, bool)>,
}

#[derive(Template)]
#[template(path = "part/dlq_windows.html")]
struct Windows {
    d: &'static DlqTexts,
    rows: Vec<Window>,
}

/// Depth, inflow, redriven and expired in each rolling window.
pub fn windows(kit: &Kit, stream: Option<&DlqStream>) -> Part {
    let d = kit.d;
    let row = |w: &crate::snapshot::DlqWindow| Window {
        name: kit.t.window(w.name),
        note: if w.complete { "" } else { d.still_filling },
        numbers: [w.first, w.last, w.max, w.inflow, w.redriven, w.expired]
            .map(|n| (count(n), n.is_none_or(|n| n == 0)))
            .to_vec(),
    };
    let rows = stream.map_or_else(Vec::new, |s| s.windows.iter().map(row).collect());
    render("dlq-windows", &Windows { d, rows })
}

struct Share {
    name: String,
    n: String,
    share: u64,
}

struct Shares {
    label: &'static str,
    rows: Vec<Share>,
    more: String,
}

#[derive(Template)]
#[template(path = "part/dlq_breakdown.html")]
struct Breakdown {
    d: &'static DlqTexts,
    hint: String,
    lists: Vec<Shares>,
    empty: bool,
}

/// By error class, source and group.
pub fn breakdown(kit: &Kit, stream: Option<&DlqStream>) -> Part {
    let d = kit.d;
    let looked_at = stream.map_or(0, |s| s.looked_at);
    let list = |label, from: &[(String, u64)]| {
        let share = |(name, n): &(String, u64)| Share {
            name: if name.is_empty() { kit.t.unknown.to_owned() } else { name.clone() },
            n: number::count(*n),
            share: (n * 100 / looked_at.max(1)).clamp(1, 100),
        };
        let hidden = from.len().saturating_sub(MAX_SHARES);
        let more = if hidden > 0 { fill(kit.l.n_more, &[("n", &hidden.to_string())]) } else { String::new() };
        Shares { label, rows: from.iter().take(MAX_SHARES).map(share).collect(), more }
    };
    let none: &[(String, u64)] = &[];
    let lists = vec![
        list(d.by_error, stream.map_or(none, |s| &s.by_error)),
        list(d.by_source, stream.map_or(none, |s| &s.by_source)),
        list(d.by_reader, stream.map_or(none, |s| &s.by_group)),
    ];
    let hint = if looked_at > 0 { fill(d.looked_at, &[("n", &number::count(looked_at))]) } else { String::new() };
    render("dlq-breakdown", &Breakdown { d, hint, lists, empty: looked_at == 0 })
}

struct Letter {
    place: String,
    time: Html,
    error: String,
    message: String,
    redriven: String,
    source: String,
    family: &'static str,
    group: String,
    transaction: Html,
    trace: Html,
    peek: String,
}

#[derive(Template)]
#[template(path = "part/dlq_letters.html")]
struct Letters {
    d: &'static DlqTexts,
    rows: Vec<Letter>,
    empty: &'static str,
}

/// The newest letters, each with its transaction.
pub fn letters(kit: &Kit, stream: Option<&DlqStream>) -> Part {
    let d = kit.d;
    let rows = stream.map_or_else(Vec::new, |s| s.newest.iter().take(MAX_LETTERS).map(|l| letter(kit, s, l)).collect());
    let empty = match stream {
        Some(s) if s.retained == Some(0) => d.no_letters,
        _ => d.no_breakdown,
    };
    render("dlq-letters", &Letters { d, rows, empty })
}

fn letter(kit: &Kit, stream: &DlqStream, letter: &LetterView) -> Letter {
    let d = kit.d;
    let base = kit.cx.base;
    let source = letter.source.as_ref().map(|(name, partition, position)| {
        let part = |n: Option<String>| n.map_or_else(String::new, |n| format!("/{n}"));
        format!("{name}{}{}", part(partition.map(|p| p.to_string())), part(position.map(|p| p.to_string())))
    });
    let transaction = letter.transaction.as_ref().map(|(flow, id)| kit.transaction(flow, id));
    let trace = kit.trace(&letter.trace_id, kit.t.open_trace).map(|a| Html(format!("<small>{a}</small>")));
    let (cluster, name) = (percent_encode(&stream.cluster), percent_encode(&stream.stream));
    Letter {
        place: format!("{}/{}", letter.partition, letter.position),
        time: letter.time.map(|at| kit.time(at)).unwrap_or_default(),
        error: if letter.error.is_empty() { kit.t.unknown.to_owned() } else { letter.error.clone() },
        message: letter.message.clone(),
        redriven: if letter.redriven > 0 {
            fill(d.redrives, &[("n", &letter.redriven.to_string())])
        } else {
            String::new()
        },
        source: source.unwrap_or_else(|| number::UNKNOWN.to_owned()),
        family: letter.family,
        group: letter.group.clone(),
        transaction: transaction.unwrap_or_default(),
        trace: trace.unwrap_or_default(),
        peek: if kit.cx.status.peek {
            format!(
                "{base}/peek?cluster={cluster}&stream={name}&partition={}&position={}",
                letter.partition, letter.position
            )
        } else {
            String::new()
        },
    }
}
