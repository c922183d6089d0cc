//! Lag events about partitions that nobody here asks about: what somebody else said, and when.

use askama::Template;

use crate::snapshot::{LagState, ToldLag};
use crate::text::i18n::{LagTexts, fill};
use crate::text::number;
use crate::web::page::Part;
use crate::web::page::kit::{Html, Kit};
use crate::web::page::lens::Lens;
use crate::web::page::part::render;

use super::words::{self, Cell};

/// Events that are written out; the rest is counted, and told whole by `/api/v1/groups`.
const MAX_EVENTS: usize = 100;

struct Row {
    key: String,
    group: String,
    cluster: String,
    place: String,
    lag: Cell,
    pending: Cell,
    oldest: Cell,
    at: Html,
}

#[derive(Template)]
#[template(path = "part/only_told.html")]
struct Told {
    l: &'static LagTexts,
    rows: Vec<Row>,
    more: String,
}

/// Lag events of partitions without a survey of ours, by the filters of a lens; hidden where there are none.
pub fn only_told(kit: &Kit, lens: &Lens) -> Part {
    let l = kit.l;
    let mut found = kit.cx.snapshot.lag.only_told();
    // Nobody judged them: whoever asks for a state asks for none of these, unless for what is not known.
    found.retain(|t| {
        lens.has_state(LagState::Unknown.name())
            && (lens.cluster.is_empty() || lens.cluster == t.cluster)
            && (lens.stream.is_empty() || lens.stream == t.stream)
            && lens.has_name(&t.group)
    });
    let hidden = found.len().saturating_sub(MAX_EVENTS);
    let rows = found.iter().take(MAX_EVENTS).map(|t| row(kit, t)).collect();
    let more = if hidden > 0 { fill(l.n_more, &[("n", &number::count(hidden as u64))]) } else { String::new() };
    render("only-told", &Told { l, rows, more })
}

fn row(kit: &Kit, t: &ToldLag) -> Row {
    let count = |n| Cell::plain(words::position(n));
    Row {
        key: format!("{}/{}/{}/{}", t.cluster, t.group, t.stream, t.partition),
        group: t.group.clone(),
        cluster: t.cluster.clone(),
        place: format!("{}/{}", t.stream, t.partition),
        lag: count(t.unread()),
        pending: count(t.pending),
        oldest: Cell::plain(t.oldest_pending_seconds.map_or_else(|| number::UNKNOWN.to_owned(), |s| kit.age(s))),
        at: kit.time(t.at),
    }
}
