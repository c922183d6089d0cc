//! Clusters, and the process itself: its bounds, its checkpoint, its build.

use askama::Template;

use crate::text::i18n::{Texts, fill};
use crate::text::{natural, number};
use crate::web::page::Part;
use crate::web::page::health::cluster_state;
use crate::web::page::kit::{Html, Kit, Level, State};

use super::render;

struct Cluster {
    name: String,
    kind: &'static str,
    state: State,
    facts: Html,
    detail: Html,
    streams: String,
}

#[derive(Template)]
#[template(path = "part/clusters.html")]
struct Clusters {
    t: &'static Texts,
    clusters: Vec<Cluster>,
}

/// Clusters, those in trouble first.
pub fn clusters(kit: &Kit) -> Part {
    let t = kit.t;
    let mut clusters: Vec<Cluster> = kit
        .cx
        .status
        .clusters
        .iter()
        .map(|(name, kind, health)| Cluster {
            name: name.clone(),
            kind,
            state: cluster_state(kit, health),
            facts: Html::dots([
                Html::text(&left_out(kit, name)),
                health.since.map(|at| Html::fill(t.since, &[("time", kit.time(at))])).unwrap_or_default(),
                health.last_seen.map_or_else(
                    || Html::text(t.never_seen),
                    |at| Html::text(&fill(t.last_answer, &[("age", &kit.ago(at))])),
                ),
                health
                    .cluster_id
                    .as_deref()
                    .map(|id| Html::text(&fill(t.cluster_id, &[("id", id)])))
                    .unwrap_or_default(),
            ]),
            detail: kit.cause(&health.detail),
            streams: fill(t.n_streams, &[("n", &health.streams.len().to_string())]),
        })
        .collect();
    clusters.sort_by(|a, b| b.state.level.cmp(&a.state.level).then_with(|| natural(&a.name, &b.name)));
    render("clusters", &Clusters { t, clusters })
}

struct Fact {
    name: String,
    value: Html,
    state: Option<State>,
}

#[derive(Template)]
#[template(path = "part/process.html")]
struct Process {
    t: &'static Texts,
    facts: Vec<Fact>,
    engine: Vec<Fact>,
}

/// What of a cluster's groups is not watched because of a bound.
fn left_out(kit: &Kit, cluster: &str) -> String {
    let n: u64 = kit.cx.snapshot.lag.clusters.iter().filter(|c| c.cluster == cluster).map(|c| c.dropped).sum();
    if n == 0 { String::new() } else { fill(kit.l.dropped_n, &[("n", &number::count(n))]) }
}

/// The process and its engine.
pub fn process(kit: &Kit) -> Part {
    let (t, status, engine) = (kit.t, kit.cx.status, &kit.cx.snapshot.engine);
    let fact = |name: &str, value: Html| Fact { name: name.to_owned(), value, state: None };
    let saved = match status.checkpoint_at {
        Some(at) => Html::text(&fill(t.ago, &[("age", &kit.ago(at))])),
        None => Html::text(t.never_saved),
    };
    let saving = if status.checkpoint_error.is_empty() {
        State {
            level: if status.checkpoint_at.is_some() { Level::Ok } else { Level::Unknown },
            word: if status.checkpoint_at.is_some() { t.ok.to_owned() } else { t.none_yet.to_owned() },
        }
    } else {
        State { level: Level::Bad, word: status.checkpoint_error.clone() }
    };
    let books = match &engine.books_error {
        None => State { level: Level::Ok, word: t.balanced.to_owned() },
        Some(reason) => State { level: Level::Bad, word: reason.clone() },
    };
    let facts = vec![
        fact(t.version, Html::text(status.version)),
        fact(t.uptime, Html::text(&kit.ago(status.started_at))),
        fact(t.started_at, kit.time(status.started_at)),
        fact(t.data_dir, Html::text(&status.data_dir.display().to_string())),
        Fact { name: t.checkpoint.to_owned(), value: saved, state: Some(saving) },
        Fact { name: t.books.to_owned(), value: Html::default(), state: Some(books) },
        fact(t.revision, Html::text(&number::count(kit.cx.snapshot.revision))),
    ];
    let number_of = |n: usize| Html::text(&number::count(n as u64));
    let mut numbers = vec![
        fact(t.engine_transactions, number_of(engine.transactions)),
        fact(t.engine_tombstones, number_of(engine.tombstones)),
        fact(t.engine_dedup, number_of(engine.dedup_events)),
        fact(t.engine_bytes, Html::text(&number::bytes(engine.page_bytes))),
        fact(t.engine_future, Html::text(&number::count(engine.future))),
    ];
    for (name, n) in &engine.overflow {
        let state = (*n > 0).then(|| State { level: Level::Warn, word: t.bound_reached.to_owned() });
        numbers.push(Fact { name: fill(t.overflow, &[("bound", name)]), value: Html::text(&number::count(*n)), state });
    }
    render("process", &Process { t, facts, engine: numbers })
}
