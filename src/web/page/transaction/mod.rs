//! The pages of transactions: how one is found, and one as the engine knows it in this moment.

use askama::Template;

use crate::engine::KEPT_SECONDS;
use crate::model::Outcome;
use crate::snapshot::{FlowView, TransactionState, TransactionView, WaitingView};
use crate::text::i18n::{DlqTexts, Texts, TransactionTexts, fill};
use crate::text::natural;
use crate::web::page::frame::Frame;
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::part::{render, to_html};
use crate::web::page::{PageContext, Part, View};

mod events;

/// Flows that the form offers; any other is typed into the address.
const MAX_FLOWS: usize = 200;
/// Rows of transactions that wait.
const MAX_WAITING: usize = 20;

/// What the engine said.
#[derive(Clone, Debug)]
pub enum Told {
    /// What it knows.
    Known(Box<TransactionView>),
    /// That it knows nothing.
    Unknown,
    /// Nothing, in time.
    Busy,
    /// Nobody can be asked here.
    Off,
}

#[derive(Template)]
#[template(path = "part/flow_names.html")]
struct FlowNames {
    x: &'static TransactionTexts,
    flows: Vec<(String, bool)>,
    only: bool,
}

/// The flows that the form offers: a part of its own, so that one that is first seen later can be chosen as well. On
/// the live stream, which is the same for everybody, none is chosen: what a person chose, the browser keeps.
pub fn flow_names(kit: &Kit, chosen: &str) -> Part {
    let known = kit.cx.snapshot.flows.iter().filter(|f| f.transactional).map(|f| f.name.clone());
    let mut names: Vec<String> = known.take(MAX_FLOWS).collect();
    if !chosen.is_empty() && !names.iter().any(|n| n == chosen) {
        names.push(chosen.to_owned());
    }
    names.sort_by(|a, b| natural(a, b));
    let only = names.len() == 1;
    let flows = names.into_iter().map(|n| (n == chosen, n)).map(|(here, n)| (n, here)).collect();
    render("flow-names", &FlowNames { x: kit.x, flows, only })
}

struct Finder {
    action: String,
    kept: Vec<(&'static str, String)>,
    names: Html,
    id: String,
}

impl Finder {
    fn new(kit: &Kit, flow: &str, id: &str) -> Self {
        let action = format!("{}/transactions", kit.cx.base);
        Self { action, kept: kit.kept(), names: Html(flow_names(kit, flow).html), id: id.to_owned() }
    }
}

/// How long what is known, in words.
fn kept(kit: &Kit) -> String {
    let [events, ok, others] = KEPT_SECONDS.map(|s| kit.age(s as f64));
    fill(kit.x.kept, &[("events", &events), ("ok", &ok), ("others", &others)])
}

#[derive(Template)]
#[template(path = "page/transactions.html")]
struct Landing {
    f: Frame,
    x: &'static TransactionTexts,
    finder: Finder,
    kept: String,
}

/// `/transactions` without a question; `f` stands around [`waiting`].
pub fn landing(kit: &Kit, f: Frame) -> String {
    to_html(&Landing { f, x: kit.x, finder: Finder::new(kit, "", ""), kept: kept(kit) })
}

struct Row {
    key: String,
    id: Html,
    flow: Html,
    stage: String,
    stuck: bool,
    waits: String,
    age: String,
    started: Html,
}

#[derive(Template)]
#[template(path = "part/waiting.html")]
struct Waiting {
    t: &'static Texts,
    x: &'static TransactionTexts,
    rows: Vec<Row>,
    empty: &'static str,
}

/// Transactions that wait in all flows: the stuck ones, then the oldest of each flow; longest first.
pub fn waiting(kit: &Kit) -> Part {
    let flows = &kit.cx.snapshot.flows;
    let mut found: Vec<(bool, &FlowView, &WaitingView)> = Vec::new();
    for flow in flows {
        found.extend(flow.stuck.iter().take(MAX_WAITING).map(|w| (true, &**flow, w)));
        let stuck = |o: &&WaitingView| !flow.stuck.iter().any(|s| s.transaction_id == o.transaction_id);
        found.extend(flow.oldest.as_ref().filter(stuck).map(|o| (false, &**flow, o)));
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| b.2.age_seconds.total_cmp(&a.2.age_seconds)));
    let row = |(stuck, flow, w): (bool, &FlowView, &WaitingView)| Row {
        key: format!("{}/{}", flow.name, w.transaction_id),
        id: kit.transaction(&flow.name, &w.transaction_id),
        flow: Html::link(&kit.url(&View::Flow(flow.name.clone())), &Html::text(&flow.name)),
        stage: w.waiting_at.clone(),
        stuck,
        waits: kit.duration(Some(w.waiting_seconds)),
        age: kit.duration(Some(w.age_seconds)),
        started: kit.time(w.started_at),
    };
    let rows = found.into_iter().take(MAX_WAITING).map(row).collect();
    let read = flows.iter().any(|f| f.watermark.is_some());
    let empty = if read { kit.x.nothing_waits } else { kit.t.nothing_read_yet };
    render("waiting", &Waiting { t: kit.t, x: kit.x, rows, empty })
}

struct Fact {
    label: &'static str,
    value: Html,
    note: Html,
    bad: bool,
}

struct Shown {
    state: State,
    facts: Vec<Fact>,
    notes: Vec<String>,
    table: Option<events::Table>,
    moving: bool,
}

#[derive(Template)]
#[template(path = "page/transaction.html")]
struct One {
    f: Frame,
    d: &'static DlqTexts,
    x: &'static TransactionTexts,
    finder: Finder,
    id: String,
    crumb: Html,
    shown: Option<Shown>,
    /// Why nothing is shown.
    why: &'static str,
    unknown: bool,
    kept: String,
    letters: Vec<events::Letter>,
}

/// `/transactions?flow=&id=`.
pub fn one(cx: &PageContext, flow: &str, id: &str, told: &Told) -> String {
    let kit = &Kit::new(cx);
    let view = View::Transaction(flow.to_owned(), id.to_owned());
    let mut f = Frame::new(kit, &view, id.to_owned(), Vec::new());
    let x = kit.x;
    let (shown, why) = match told {
        Told::Known(t) => (Some(shown(kit, t)), ""),
        Told::Unknown => (None, x.unknown_why),
        Told::Busy => (None, x.busy),
        Told::Off => (None, x.off),
    };
    f.refresh = shown.as_ref().is_some_and(|s| s.moving);
    let known = cx.snapshot.flows.iter().any(|f| f.name == flow);
    let crumb = match known {
        true => Html::link(&kit.url(&View::Flow(flow.to_owned())), &Html::text(flow)),
        false => Html::link(&kit.url(&View::Transactions), &Html::text(x.nav)),
    };
    to_html(&One {
        f,
        d: kit.d,
        x,
        finder: Finder::new(kit, flow, id),
        id: id.to_owned(),
        crumb,
        shown,
        why,
        unknown: matches!(told, Told::Unknown),
        kept: kept(kit),
        letters: events::letters(kit, flow, id),
    })
}

/// Where it stands, in colour, shape and word.
fn state(kit: &Kit, t: &TransactionView) -> State {
    let x = kit.x;
    let stuck = t.waits.as_ref().filter(|w| w.stuck);
    let (level, word) = match (t.state, stuck) {
        (TransactionState::InFlight, Some(w)) => (Level::Bad, fill(x.s_stuck, &[("stage", &w.stage)])),
        (TransactionState::InFlight, None) => (Level::Ok, x.s_in_flight.to_owned()),
        (TransactionState::Unexplained, _) => (Level::Unknown, x.s_unexplained.to_owned()),
        (TransactionState::OpenEnded, _) => (Level::Unknown, x.s_open_ended.to_owned()),
        (TransactionState::Evicted, _) => (Level::Unknown, x.s_evicted.to_owned()),
        (TransactionState::Ended, _) => {
            let level = match t.outcome {
                Some(Outcome::Ok) => Level::Ok,
                Some(Outcome::Compensated) => Level::Warn,
                Some(_) => Level::Bad,
                None => Level::Unknown,
            };
            let outcome = t.outcome.map_or(kit.t.unknown, |o| kit.t.outcome(o as usize));
            (level, fill(x.s_ended, &[("outcome", outcome)]))
        }
    };
    State { level, word }
}

fn shown(kit: &Kit, t: &TransactionView) -> Shown {
    let x = kit.x;
    let events_kept = kit.age(KEPT_SECONDS[0] as f64);
    let mut notes = Vec::new();
    match t.state {
        TransactionState::Unexplained => notes.push(x.w_unexplained.to_owned()),
        TransactionState::OpenEnded => notes.push(x.w_open_ended.to_owned()),
        TransactionState::Evicted => notes.push(x.w_evicted.to_owned()),
        TransactionState::InFlight | TransactionState::Ended => {}
    }
    for (true_of_it, words) in [(t.recovered, x.w_recovered), (t.joined, x.w_joined), (t.truncated, x.w_truncated)] {
        if true_of_it {
            notes.push(words.to_owned());
        }
    }
    if t.events.is_none() {
        notes.push(fill(x.w_gone, &[("events", &events_kept)]));
    }
    Shown {
        state: state(kit, t),
        facts: facts(kit, t),
        notes,
        table: t.events.as_ref().map(|events| events::table(kit, t, events)),
        // One that has left its events behind changes by a recovery at most.
        moving: t.events.is_some(),
    }
}

fn facts(kit: &Kit, t: &TransactionView) -> Vec<Fact> {
    let x = kit.x;
    let fact = |label, value: Html, note: Html| Fact { label, value, note, bad: false };
    let mut facts = Vec::new();
    if let Some(waits) = &t.waits {
        let age = Html::text(&kit.duration(t.started_at.map(|at| kit.seconds_since(at))));
        facts.push(Fact { bad: waits.stuck, ..fact(x.age, age, Html::default()) });
        let since = Html::fill(
            x.waits_since,
            &[("age", Html::text(&kit.duration(Some(waits.seconds)))), ("time", kit.time(waits.since))],
        );
        let words = if waits.deadline_learned { x.deadline_learned } else { x.deadline };
        let deadline = waits.deadline_seconds.map(|s| Html::fill(words, &[("age", Html::text(&kit.limit(s)))]));
        let note = Html::dots([since, deadline.unwrap_or_default()]);
        facts.push(Fact {
            bad: waits.stuck,
            ..fact(if waits.awaited { x.waits_at } else { x.last_seen_at }, Html::text(&waits.stage), note)
        });
    }
    if let Some(latency) = t.latency {
        let clock = Html::text(kit.t.clock(latency.clock));
        facts.push(fact(x.end_to_end, Html::text(&kit.duration(Some(latency.seconds))), clock));
    }
    let times = [(x.started, t.started_at), (x.ended, t.ended_at), (x.recovered, t.recovered_at)];
    facts.extend(times.into_iter().filter_map(|(l, at)| Some(fact(l, kit.time(at?), Html::default()))));
    facts.extend(t.times_out_at.map(|at| fact(x.times_out, kit.time(at), Html::default())));
    let trace = Html(format!("<span class=\"mono\">{}</span>", Html::text(&t.trace_id)));
    let note = match (t.trace_carried, kit.trace(&t.trace_id, x.trace_open)) {
        (true, Some(link)) => link,
        (true, None) => Html::text(x.trace_carried),
        (false, _) => Html::text(x.trace_derived),
    };
    // Of one that has left, nobody knows any more whether its events carried a trace.
    if t.events.is_some() {
        facts.push(fact(x.trace, trace, note));
    }
    facts.extend(t.kept_until.map(|at| fact(x.known_until, kit.time(at), Html::default())));
    facts
}
