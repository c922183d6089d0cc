//! Where transactions are: the stages of a flow in order, with the hops between them.

use askama::Template;

use crate::snapshot::{FlowView, HopView, LatencyView, StageView, WINDOWS};
use crate::text::i18n::{Texts, fill};
use crate::text::number;
use crate::web::page::health::{flow_state, is_live};
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::{Part, View};

use super::{MAX_ROWS, render};

/// Chains on the overview at most; the table of flows has the others.
const MAX_CHAINS: usize = 3;
/// The window of chains: one minute, index in `WINDOWS`.
const MINUTE: usize = 1;

/// A stage with the hop that leads to it.
struct Step {
    name: Html,
    rate: String,
    state: State,
    waiting: String,
    errors: String,
    first: bool,
    p95: String,
}

struct Chain {
    name: String,
    href: String,
    state: State,
    steps: Vec<Step>,
}

#[derive(Template)]
#[template(path = "part/map.html")]
struct Map {
    t: &'static Texts,
    chains: Vec<Chain>,
    more: String,
    linked: bool,
}

/// Chains of the given flows, in their order.
pub fn map(kit: &Kit, flows: &[&FlowView], linked: bool) -> Part {
    let with_stages: Vec<&&FlowView> = flows.iter().filter(|f| f.stages.len() > 1).collect();
    let hidden = with_stages.len().saturating_sub(MAX_CHAINS);
    let chains = with_stages.into_iter().take(MAX_CHAINS).map(|f| Chain {
        name: f.name.clone(),
        href: kit.url(&View::Flow(f.name.clone())),
        state: flow_state(kit, f),
        steps: f.stages.iter().enumerate().map(|(i, s)| step(kit, f, i, s)).collect(),
    });
    let more = if hidden > 0 { fill(kit.t.n_more_flows, &[("n", &hidden.to_string())]) } else { String::new() };
    render("map", &Map { t: kit.t, chains: chains.collect(), more, linked })
}

fn step(kit: &Kit, flow: &FlowView, index: usize, stage: &StageView) -> Step {
    let t = kit.t;
    let hop = index.checked_sub(1).and_then(|before| hop(flow, &flow.stages[before].name, &stage.name));
    let latency = hop.and_then(|h| h.windows.get(MINUTE)).filter(|l| l.count > 0);
    let errors = stage.errors_per_second[MINUTE].filter(|e| *e > 0.0);
    Step {
        name: Html::breakable(&stage.name),
        rate: stage.per_second[MINUTE]
            .map_or_else(|| number::UNKNOWN.to_owned(), |r| format!("{}{}", number::rate(r), t.per_second)),
        state: stage_state(kit, flow, stage),
        waiting: if stage.waiting > 0 {
            fill(t.n_waiting, &[("n", &number::count(stage.waiting))])
        } else {
            String::new()
        },
        errors: errors.map_or_else(String::new, |e| fill(t.errors_rate, &[("rate", &number::rate(e))])),
        first: index == 0,
        p95: kit.duration(latency.and_then(|l| l.p95)),
    }
}

fn stage_state(kit: &Kit, flow: &FlowView, stage: &StageView) -> State {
    let t = kit.t;
    let (level, word) = if !is_live(kit, flow) {
        (Level::Unknown, t.unknown.to_owned())
    } else if stage.stuck > 0 {
        (Level::Bad, fill(t.n_stuck, &[("n", &number::count(stage.stuck))]))
    } else if stage.events == 0 {
        (Level::Unknown, t.not_seen.to_owned())
    } else {
        (Level::Ok, t.ok.to_owned())
    };
    State { level, word }
}

fn hop<'a>(flow: &'a FlowView, from: &str, to: &str) -> Option<&'a HopView> {
    flow.hops.iter().find(|h| h.from == from && h.to == to)
}

/// A row of the table of stages.
struct StageRow {
    name: String,
    state: State,
    rates: Vec<String>,
    errors: String,
    waiting: String,
    stuck: String,
    deadline: String,
    events: String,
}

/// A row of the table of hops.
struct HopRow {
    from: String,
    to: String,
    rate: String,
    numbers: [String; 4],
    /// Where it is not the clock of all.
    clock: &'static str,
    skips: bool,
}

#[derive(Template)]
#[template(path = "part/steps.html")]
struct Steps {
    t: &'static Texts,
    stages: Vec<StageRow>,
    hops: Vec<HopRow>,
    clock: &'static str,
    more: String,
}

/// Stages and hops of one flow as tables.
pub fn steps(kit: &Kit, flow: &FlowView) -> Part {
    let t = kit.t;
    let stages = flow.stages.iter().take(MAX_ROWS).map(|s| StageRow {
        name: s.name.clone(),
        state: stage_state(kit, flow, s),
        rates: [0, 1, 4].into_iter().map(|i| kit.rate(s.per_second[i])).collect(),
        errors: kit.rate(s.errors_per_second[MINUTE]),
        waiting: number::count(s.waiting),
        stuck: number::count(s.stuck),
        deadline: s.deadline_seconds.map_or_else(
            || number::UNKNOWN.to_owned(),
            |d| {
                let word = if s.deadline_learned { t.learned } else { t.configured };
                format!("{} {word}", kit.limit(d))
            },
        ),
        events: number::count(s.events),
    });
    let place = |name: &str| flow.stages.iter().position(|s| s.name == name).unwrap_or(usize::MAX);
    let minute = |h: &HopView| h.windows.get(MINUTE).cloned().unwrap_or_default();
    let skips = |h: &HopView| place(&h.to) != place(&h.from).wrapping_add(1);
    // A hop that is not from one stage to the next is rare: while nobody takes it, it is only counted.
    let mut hops: Vec<(&HopView, LatencyView)> = flow.hops.iter().map(|h| (h, minute(h))).collect();
    let all = hops.len();
    hops.retain(|(h, l)| l.count > 0 || !skips(h));
    let idle = all - hops.len();
    hops.sort_by_key(|(h, _)| (place(&h.from), place(&h.to)));
    let hidden = hops.len().saturating_sub(MAX_ROWS);
    let clocks = hops.iter().filter(|(_, l)| l.count > 0).map(|(_, l)| l.clock);
    let clock = one(clocks);
    let rows = hops.iter().take(MAX_ROWS).map(|(h, l)| HopRow {
        from: h.from.clone(),
        to: h.to.clone(),
        rate: number::rate(l.count as f64 / WINDOWS[MINUTE].1 as f64),
        numbers: [l.p50, l.p95, l.p99, l.max].map(|v| kit.duration(v)),
        clock: if clock.is_none() && l.count > 0 { t.clock(l.clock) } else { "" },
        skips: skips(h),
    });
    let said = |pattern, n: usize| if n > 0 { fill(pattern, &[("n", &n.to_string())]) } else { String::new() };
    let more = [said(t.n_more, hidden), said(t.n_idle_hops, idle)];
    let more = more.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" \u{b7} ");
    let clock = clock.map_or("", |c| t.clock(c));
    render("steps", &Steps { t, stages: stages.collect(), hops: rows.collect(), clock, more })
}

/// The clock of all, where there is one.
pub fn one(mut clocks: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let first = clocks.next()?;
    clocks.all(|c| c == first).then_some(first)
}
