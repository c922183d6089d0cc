//! All groups: how many are in which state, and the table.

use askama::Template;

use crate::model::{GroupPhase, GroupProtocol};
use crate::snapshot::{GroupView, LagState};
use crate::text::i18n::{LagTexts, fill};
use crate::text::number;
use crate::web::page::kit::{Html, Kit, State};
use crate::web::page::lens::Lens;
use crate::web::page::part::render;
use crate::web::page::table::{Chip, Column, Head, Pager, chips, heads, pager};
use crate::web::page::{Part, View};

use super::order::{self, Entry};
use super::words::{self, Cell};

/// Groups that pass the filters of a lens, but for that of its state where `any_state`.
fn matching<'a>(kit: &Kit<'a>, lens: &Lens, any_state: bool) -> Vec<Entry<'a>> {
    let board = &kit.cx.snapshot.lag;
    let clusters = board.clusters.iter().filter(|c| lens.cluster.is_empty() || c.cluster == lens.cluster);
    let groups = clusters.flat_map(|c| c.groups.iter().map(move |g| (&**c, &**g)));
    groups
        .filter(|(_, g)| any_state || lens.has_state(g.state.name()))
        .filter(|(_, g)| lens.has_name(&g.group))
        .filter(|(_, g)| lens.stream.is_empty() || g.rows.iter().any(|r| *r.stream == *lens.stream))
        .collect()
}

#[derive(Template)]
#[template(path = "part/group_states.html")]
struct States {
    l: &'static LagTexts,
    chips: Vec<Chip>,
}

/// How many groups are in which state, worst first: each a link that shows them.
pub fn states(kit: &Kit, lens: &Lens) -> Part {
    let mut counts = [0_u64; LagState::ALL.len()];
    for (_, group) in matching(kit, lens, true) {
        counts[group.state as usize] += 1;
    }
    let states = LagState::ALL
        .into_iter()
        .rev()
        .map(|s| (s.name(), words::state(kit, s), words::words(kit.l, s).1, counts[s as usize]));
    render("group-states", &States { l: kit.l, chips: chips(kit, lens, states, View::Consumers) })
}

struct Row {
    key: String,
    href: String,
    name: String,
    cluster: String,
    state: State,
    meaning: &'static str,
    why: String,
    lag: Cell,
    age: Cell,
    drain: Cell,
    rate: Cell,
    trend: Html,
    trend_words: String,
    members: Cell,
    protocol: &'static str,
    phase: &'static str,
    burrow: &'static str,
    lost: String,
}

#[derive(Template)]
#[template(path = "part/groups.html")]
struct Groups {
    l: &'static LagTexts,
    heads: Vec<Head>,
    rows: Vec<Row>,
    pager: Pager,
    empty: &'static str,
    clear: String,
}

/// The columns; the cluster has none of its own but is sorted by where there are several.
pub fn columns(l: &'static LagTexts, clusters: bool) -> Vec<Column> {
    let mut columns = vec![
        ("group", l.group, "", ""),
        ("state", l.state, "", ""),
        ("lag", l.messages, l.messages_why, "r"),
        ("age", l.oldest, l.oldest_why, "r"),
        ("drain", l.drain, l.drain_why, "r"),
        ("rate", l.rate, l.rate_why, "r"),
        ("trend", l.trend, l.trend_why, "sp"),
        ("members", l.members, "", "r"),
        ("protocol", l.protocol, "", ""),
        ("burrow", l.burrow, l.burrow_why, ""),
    ];
    if clusters {
        columns.push(("cluster", l.cluster, "", ""));
    }
    columns
}

/// The table of groups as a lens shows it.
pub fn table(kit: &Kit, lens: &Lens) -> Part {
    let board = &kit.cx.snapshot.lag;
    let mut entries = matching(kit, lens, false);
    entries.sort_by(|a, b| order::groups(lens, *a, *b));
    let all: usize = board.clusters.iter().map(|c| c.groups.len()).sum();
    let many = board.clusters.len() > 1;
    let rows = entries[lens.window(entries.len())].iter().map(|entry| row(kit, *entry, many)).collect();
    let l = kit.l;
    let view = |lens| View::Consumers(lens);
    let empty = match (all, board.clusters.iter().any(|c| c.as_of.is_some())) {
        (0, _) if kit.cx.status.lag_off => l.off,
        (0, true) => l.no_groups,
        (0, false) => l.not_surveyed,
        _ => l.none_match,
    };
    let page = Groups {
        l,
        heads: heads(kit, lens, &columns(l, false), view),
        rows,
        pager: pager(kit, lens, entries.len(), all, view),
        empty,
        clear: if lens.filters() { kit.url(&View::Consumers(Lens::default())) } else { String::new() },
    };
    render("groups", &page)
}

fn row(kit: &Kit, (cluster, group): Entry, many: bool) -> Row {
    let l = kit.l;
    Row {
        key: format!("{}/{}", cluster.cluster, group.group),
        href: kit.url(&View::Group(cluster.cluster.clone(), group.group.to_string(), Lens::default())),
        name: group.group.to_string(),
        cluster: if many { cluster.cluster.clone() } else { String::new() },
        state: words::state(kit, group.state),
        meaning: words::words(l, group.state).1,
        why: why(kit, group),
        lag: words::group_messages(kit, group),
        age: words::group_age(kit, group),
        drain: words::drain(kit, group.drain_seconds, group.lag_messages),
        rate: Cell::plain(kit.rate(group.commit_rate)),
        trend: words::sparkline(&group.trend, words::level(group.state)),
        trend_words: words::trend_words(&group.trend),
        members: Cell::plain(group.members.map_or_else(|| number::UNKNOWN.to_owned(), |n| number::count(n.into()))),
        protocol: protocol(l, group.protocol),
        phase: phase(l, group.phase),
        burrow: group.burrow.name(),
        lost: if group.lost_messages > 0 {
            fill(l.lost_n, &[("n", &number::count(group.lost_messages))])
        } else {
            String::new()
        },
    }
}

/// Why the group has its state, and what of it is not known.
pub fn why(kit: &Kit, group: &GroupView) -> String {
    let reason = words::group_reason(kit, group);
    if group.fault.is_empty() { reason } else { format!("{reason} \u{b7} {}", group.fault) }
}

/// The word of a protocol.
pub fn protocol(l: &'static LagTexts, of: GroupProtocol) -> &'static str {
    match of {
        GroupProtocol::Unknown => l.p_unknown,
        GroupProtocol::Classic => l.p_classic,
        GroupProtocol::Consumer => l.p_consumer,
        GroupProtocol::Share => l.p_share,
        GroupProtocol::Simple => l.p_simple,
        GroupProtocol::Embedded => l.p_embedded,
    }
}

/// The word of a phase.
pub fn phase(l: &'static LagTexts, of: GroupPhase) -> &'static str {
    match of {
        GroupPhase::Unknown => l.f_unknown,
        GroupPhase::Stable => l.f_stable,
        GroupPhase::Rebalancing => l.f_rebalancing,
        GroupPhase::Empty => l.f_empty,
        GroupPhase::Dead => l.f_dead,
    }
}
