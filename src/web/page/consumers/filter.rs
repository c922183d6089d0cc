//! The form over a table, and what the states mean. Drawn with the page, not with its frames: what somebody
//! types is not replaced.

use std::collections::BTreeSet;

use askama::Template;

use crate::snapshot::LagState;
use crate::text::i18n::LagTexts;
use crate::web::page::View;
use crate::web::page::kit::{Html, Kit, State};
use crate::web::page::lens::Lens;
use crate::web::page::part::to_html;

use super::words;

/// Streams that are offered; any other can be typed.
const MAX_STREAMS: usize = 300;

struct Choice {
    value: String,
    label: String,
    here: bool,
}

#[derive(Template)]
#[template(path = "part/lens.html")]
struct Filter {
    l: &'static LagTexts,
    action: String,
    clear: String,
    text: String,
    stream: String,
    states: Vec<Choice>,
    clusters: Vec<Choice>,
    streams: Vec<String>,
    sorts: Vec<Choice>,
    kept: Vec<(&'static str, String)>,
}

/// The form of a view's lens.
pub fn filter(kit: &Kit, lens: &Lens, view: &View) -> Html {
    let l = kit.l;
    let board = &kit.cx.snapshot.lag;
    let (plain, of_group, columns) = match view {
        View::Group(cluster, group, _) => {
            let plain = View::Group(cluster.clone(), group.clone(), Lens::default());
            (plain, super::find(board, cluster, group), super::rows::columns(l))
        }
        _ => (View::Consumers(Lens::default()), None, super::groups::columns(l, board.clusters.len() > 1)),
    };
    let choice =
        |value: &str, label: &str, here: bool| Choice { value: value.to_owned(), label: label.to_owned(), here };
    let states = std::iter::once(choice("", l.any, lens.state.is_empty()))
        .chain(LagState::ALL.into_iter().rev().map(|s| choice(s.name(), words::words(l, s).0, lens.state == s.name())));
    let mut clusters: Vec<Choice> = Vec::new();
    if of_group.is_none() && board.clusters.len() > 1 {
        clusters.push(choice("", l.any, lens.cluster.is_empty()));
        clusters.extend(board.clusters.iter().map(|c| choice(&c.cluster, &c.cluster, c.cluster == lens.cluster)));
    }
    let mut streams: BTreeSet<&str> = BTreeSet::new();
    let groups = board.clusters.iter().flat_map(|c| &c.groups).map(|g| &**g);
    let groups: Vec<_> = of_group.map_or_else(|| groups.collect(), |(_, g)| vec![g]);
    for row in groups.iter().flat_map(|g| &g.rows) {
        if streams.len() >= MAX_STREAMS {
            break;
        }
        streams.insert(&row.stream);
    }
    let mut sorts = vec![choice("", kit.t.worst_first, lens.sort.is_empty())];
    for (name, label, ..) in &columns {
        sorts.push(choice(name, label, lens.sort == *name && !lens.reversed));
        sorts.push(choice(
            &format!("-{name}"),
            &format!("{label}, {}", l.reversed),
            lens.sort == *name && lens.reversed,
        ));
    }
    let page = Filter {
        l,
        action: format!("{}{}", kit.cx.base, plain.path()),
        clear: if *lens == Lens::default() { String::new() } else { kit.url(&plain) },
        text: lens.text.clone(),
        stream: lens.stream.clone(),
        states: states.collect(),
        clusters,
        streams: streams.into_iter().map(str::to_owned).collect(),
        sorts,
        kept: kit.kept(),
    };
    Html(to_html(&page))
}

#[derive(Template)]
#[template(path = "part/state_help.html")]
struct Help {
    l: &'static LagTexts,
    states: Vec<(State, &'static str, &'static str)>,
}

/// Every state with its contract name and what it means, worst first.
pub fn help(kit: &Kit) -> Html {
    let states = LagState::ALL.into_iter().rev().map(|s| (words::state(kit, s), s.name(), words::words(kit.l, s).1));
    Html(to_html(&Help { l: kit.l, states: states.collect() }))
}
