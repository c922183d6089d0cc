//! What is said above the groups: whether the clusters answer, and partitions that are not well.

use std::collections::BTreeMap;

use askama::Template;

use crate::snapshot::{LagCluster, PartitionTrouble};
use crate::text::i18n::{LagTexts, fill};
use crate::text::number;
use crate::web::page::Part;
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::part::render;

/// Faults of one cluster that are written out; the rest is counted.
const MAX_FAULTS: usize = 5;
/// Streams with trouble that are written out; the rest is counted.
const MAX_TROUBLES: usize = 12;
/// Partitions of one stream that are named.
const MAX_NAMES: usize = 12;

struct Cluster {
    name: String,
    kind: &'static str,
    state: State,
    facts: Html,
    faults: Vec<String>,
    more: String,
}

#[derive(Template)]
#[template(path = "part/surveys.html")]
struct Surveys {
    l: &'static LagTexts,
    clusters: Vec<Cluster>,
}

/// Whether a cluster tells its lag, and since when not.
pub fn survey_state(kit: &Kit, cluster: &LagCluster) -> State {
    let (level, word) = match (cluster.answering, cluster.as_of) {
        _ if kit.cx.status.lag_off => (Level::Unknown, kit.l.off_short.to_owned()),
        (true, Some(_)) if cluster.faults.is_empty() => (Level::Ok, kit.l.answering.to_owned()),
        (true, Some(_)) => (Level::Warn, kit.l.partly.to_owned()),
        (_, None) => (Level::Unknown, kit.l.never_answered.to_owned()),
        (false, Some(at)) => (Level::Bad, fill(kit.l.frozen_for, &[("age", &kit.ago(at))])),
    };
    State { level, word }
}

/// The clusters that are asked about their groups.
pub fn surveys(kit: &Kit) -> Part {
    let l = kit.l;
    let cluster = |c: &std::sync::Arc<LagCluster>| {
        let dropped =
            if c.dropped > 0 { fill(l.dropped_n, &[("n", &number::count(c.dropped))]) } else { String::new() };
        let cycle = c.cycle_seconds.map_or_else(String::new, |s| fill(l.cycle, &[("age", &kit.duration(Some(s)))]));
        let hidden = c.faults.len().saturating_sub(MAX_FAULTS);
        Cluster {
            name: c.cluster.clone(),
            kind: c.kind,
            state: survey_state(kit, c),
            facts: Html::dots([
                Html::text(&fill(l.n_groups, &[("n", &number::count(c.groups.len() as u64))])),
                c.as_of.map(|at| Html::fill(l.as_of, &[("time", kit.time(at))])).unwrap_or_default(),
                Html::text(&cycle),
                Html::text(&dropped),
            ]),
            faults: c.faults.iter().take(MAX_FAULTS).cloned().collect(),
            more: if hidden > 0 { fill(l.n_more, &[("n", &hidden.to_string())]) } else { String::new() },
        }
    };
    let clusters = kit.cx.snapshot.lag.clusters.iter().map(cluster).collect();
    render("surveys", &Surveys { l, clusters })
}

/// What is wrong with partitions, in words.
pub fn trouble(l: &'static LagTexts, what: &str) -> (&'static str, Level) {
    match what {
        "leaderless" => (l.t_leaderless, Level::Bad),
        "offline" => (l.t_offline, Level::Bad),
        _ => (l.t_under_replicated, Level::Warn),
    }
}

struct Trouble {
    state: State,
    /// Stream and partitions: `orders/0, 5`.
    place: String,
    cluster: String,
    note: String,
}

#[derive(Template)]
#[template(path = "part/troubles.html")]
struct Troubles {
    l: &'static LagTexts,
    rows: Vec<Trouble>,
    more: String,
}

/// Partitions that are not well, by stream; hidden where all are.
pub fn troubles(kit: &Kit) -> Part {
    let l = kit.l;
    let board = &kit.cx.snapshot.lag;
    let many = board.clusters.len() > 1;
    let mut by_stream: BTreeMap<(u8, &str, &str, &str), Vec<&PartitionTrouble>> = BTreeMap::new();
    for cluster in &board.clusters {
        for t in &cluster.troubles {
            let rank = u8::from(trouble(l, t.what).1 != Level::Bad);
            by_stream.entry((rank, t.what, &cluster.cluster, &t.stream)).or_default().push(t);
        }
    }
    let hidden = by_stream.len().saturating_sub(MAX_TROUBLES);
    let row = |((_, what, cluster, stream), list): (&(u8, &str, &str, &str), &Vec<&PartitionTrouble>)| {
        let (word, level) = trouble(l, what);
        let mut partitions =
            list.iter().take(MAX_NAMES).map(|t| t.partition.to_string()).collect::<Vec<_>>().join(", ");
        if list.len() > MAX_NAMES {
            partitions.push_str(" \u{2026}");
        }
        let worst = list.iter().map(|t| t.replicas).min().unwrap_or_default();
        Trouble {
            state: State { level, word: word.to_owned() },
            place: format!("{stream}/{partitions}"),
            cluster: if many { (*cluster).to_owned() } else { String::new() },
            note: if worst.1 > 0 {
                fill(l.in_sync, &[("n", &worst.0.to_string()), ("m", &worst.1.to_string())])
            } else {
                String::new()
            },
        }
    };
    let rows = by_stream.iter().take(MAX_TROUBLES).map(row).collect();
    let more = if hidden > 0 { fill(l.n_more, &[("n", &hidden.to_string())]) } else { String::new() };
    render("troubles", &Troubles { l, rows, more })
}
